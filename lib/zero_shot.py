"""CLIP and SigLIP: photos and texts as vectors in one space, so that a sentence can stand for a query or for a class.

The weights, from safetensors only, are a download of 150 MB to 1 GB. Without them `load` raises `MissingWeights`.

Needs numpy, torch, transformers, safetensors, tqdm. Copy with: weights.py.
"""

import itertools
import os
import sys
from pathlib import Path

import numpy as np

try:
    from lib import weights
except ModuleNotFoundError:  # copied beside this file
    import weights

import torch
from tqdm.auto import tqdm

MissingWeights = weights.MissingWeights
KINDS = ("clip", "siglip", "siglip2")


class PairedEncoder:
    """What `load` returns: towers of images and texts that end in one space; model, processor: of transformers."""

    def __init__(self, name, model, processor, source):
        self.name, self.source, self.model, self.processor = name, str(source), model, processor
        self.device = next(model.parameters()).device
        self.dimension = self.embed_texts(["a"]).shape[1]

    def embed_images(self, images, batch_size=32, progress=True):
        """float32 (n, d), rows of length 1, of images uint8 (n, h, w, 3) or any iterable of uint8 (h, w, 3)."""
        shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")
        total = len(images) if hasattr(images, "__len__") else None
        rows, left = [], iter(images)
        with tqdm(total=total, desc=f"embed with {self.name}", unit="image", leave=False, disable=not shown) as bar:
            while batch := list(itertools.islice(left, batch_size)):
                for number, image in enumerate(batch, len(rows)):
                    if getattr(image, "dtype", None) != np.uint8 or np.ndim(image) != 3 or image.shape[-1] != 3:
                        shape = f"{getattr(image, 'dtype', type(image).__name__)} {np.shape(image)}"
                        raise ValueError(f"expected images uint8 (h, w, 3), RGB; image {number} is {shape}")
                inputs = self.processor.image_processor(
                    images=batch, return_tensors="pt", input_data_format="channels_last"
                ).to(self.device)
                with torch.inference_mode():
                    rows.extend(_unit(self.model.get_image_features(**inputs)))
                bar.update(len(batch))
        if not rows:
            raise ValueError("expected at least one image, got none")
        return np.stack(rows)

    def embed_texts(self, texts, batch_size=64):
        """float32 (n, d), rows of length 1. A text longer than the model reads is cut."""
        if isinstance(texts, str):
            raise ValueError("expected a list of strings, got one string")
        texts, rows = list(texts), []
        # SigLIP was trained on texts filled up to one length, CLIP looks at the end of each
        padding = "max_length" if self.model.config.model_type.startswith("siglip") else True
        longest = self.model.config.text_config.max_position_embeddings
        how = {"padding": padding, "truncation": True, "max_length": longest, "return_tensors": "pt"}
        for start in range(0, len(texts), batch_size):
            inputs = self.processor.tokenizer(texts[start : start + batch_size], **how).to(self.device)
            with torch.inference_mode():
                rows.extend(_unit(self.model.get_text_features(**inputs)))
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    @property
    def key(self):
        """What decides an embedding besides the images or texts, as JSON can hold it: for the key of a cache."""
        digest = weights.digest_state(self.model.state_dict())
        return {"encoder": self.name, "weights": digest, "processor": self.processor.image_processor.to_json_string()}


def load(name_or_folder, device=None):
    """A CLIP or SigLIP as a PairedEncoder: "openai/clip-vit-base-patch32", "google/siglip-base-patch16-224", a folder.

    A `Path`, and text that begins with "." or "/" or "~", is a folder as transformers saves it. A name is looked up in
    the folders of $RETRIEVAL_WEIGHTS, then in the cache of the Hugging Face hub, then fetched. ValueError for a folder
    that holds another kind of model, MissingWeights for what is not there.
    """
    from transformers import AutoConfig, AutoModel, AutoProcessor

    name = str(name_or_folder)
    if isinstance(name_or_folder, Path) or name.startswith((".", "/", "~")):
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise MissingWeights(f"expected a folder as transformers saves a model, found no config.json in {folder}")
    else:
        folder, looked_for = weights.in_folders(name, suffixes=("",))
        if folder is None:
            weights.from_hub(name, name, "config.json", looked_for)
    source = name if folder is None else str(folder)
    config = AutoConfig.from_pretrained(source)
    if config.model_type not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, found {config.model_type} in {source}")
    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True).eval()
        processor = AutoProcessor.from_pretrained(source)
    except OSError as error:
        raise MissingWeights(f"The files of {name} in {source} are not complete: {error}") from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return PairedEncoder(name, model.to(device), processor, source)


def _unit(output):
    """Rows of length 1, as an array."""
    rows = output if isinstance(output, torch.Tensor) else output.pooler_output  # transformers 5 wraps it
    return torch.nn.functional.normalize(rows.float(), dim=-1).cpu().numpy()
