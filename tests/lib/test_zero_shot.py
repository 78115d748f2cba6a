"""zero_shot: a tiny CLIP and a tiny SigLIP of random weights, saved to a folder as transformers saves them."""

import doctest
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tiny_towers
import torch
from transformers import BertConfig, BertModel

from lib import zero_shot

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request, tmp_path_factory):
    return tiny_towers.save(request.param, tmp_path_factory.mktemp(request.param))


def test_both_towers_give_rows_of_length_one_in_one_space(folder):
    encoder = zero_shot.load(folder)
    images = encoder.embed_images(IMAGES, batch_size=2, progress=False)
    texts = encoder.embed_texts(["a red hat", "a photo of a shoe.", "a hat " * 20])
    assert images.shape == (5, encoder.dimension) and texts.shape == (3, encoder.dimension)
    assert images.dtype == texts.dtype == np.float32 and encoder.embed_texts([]).shape == (0, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(np.vstack([images, texts]), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.embed_images(iter(IMAGES), progress=False), images, atol=1e-5)
    np.testing.assert_allclose(encoder.embed_texts(["a photo of a shoe."])[0], texts[1], atol=1e-5)


def test_products_of_rows_are_what_the_model_itself_scores(folder):
    """transformers' own forward: cosines, scaled (and shifted, in SigLIP)."""
    encoder = zero_shot.load(str(folder), device="cpu")
    model, processor = encoder.model, encoder.processor
    texts = ["a red hat", "a shoe"]
    padding = "max_length" if "siglip" in model.config.model_type else True
    inputs = processor(
        text=texts, images=list(IMAGES), return_tensors="pt", padding=padding, truncation=True, max_length=12
    )
    with torch.no_grad():
        expected = model(**inputs).logits_per_image
    cosines = torch.from_numpy(encoder.embed_images(IMAGES, progress=False) @ encoder.embed_texts(texts).T)
    shift = getattr(model, "logit_bias", torch.zeros(1)).detach()
    torch.testing.assert_close(cosines * model.logit_scale.exp().detach() + shift, expected, rtol=1e-4, atol=1e-4)


def test_the_key_can_be_written_as_json_and_follows_the_weights(folder):
    encoder = zero_shot.load(folder)
    before = json.dumps(encoder.key)
    with torch.no_grad():
        next(encoder.model.parameters()).add_(1)
    assert json.dumps(encoder.key) != before == json.dumps(zero_shot.load(folder).key)


def test_a_name_is_looked_up_among_the_weights(folder, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(folder.parent))
    assert zero_shot.load(folder.name).source == str(folder)


def test_what_is_not_there_says_where_it_was_looked_for(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(tmp_path))
    with pytest.raises(zero_shot.MissingWeights, match=r"not here(.|\n)*made-up/clip(.|\n)*hub"):
        zero_shot.load("made-up/clip")
    with pytest.raises(zero_shot.MissingWeights, match=r"found no config\.json in"):
        zero_shot.load(tmp_path)


def test_another_kind_of_model_and_bad_input_are_refused(folder, tmp_path):
    BertModel(BertConfig(vocab_size=10, **tiny_towers.SIZES)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected one of clip, siglip, siglip2, found bert"):
        zero_shot.load(tmp_path)
    encoder = zero_shot.load(folder)
    with pytest.raises(ValueError, match=r"image 1 is float64 \(40, 48, 3\)"):
        encoder.embed_images([IMAGES[0], IMAGES[1] / 255])
    with pytest.raises(ValueError, match="at least one image"):
        encoder.embed_images([])
    with pytest.raises(ValueError, match="a list of strings"):
        encoder.embed_texts("a hat")


def test_doctests():
    assert doctest.testmod(zero_shot).failed == 0
