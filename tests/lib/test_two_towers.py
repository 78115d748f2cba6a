"""Two towers: their layers, their weights, and unit length on both sides."""

import pytest
import torch

from lib.two_towers import TwoTower


def embeddings(n, d):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def test_two_towers_meet_in_one_space_on_the_unit_sphere():
    towers = TwoTower(n_image=7, n_text=5, dimension=12, hidden=9)
    images, texts = towers(embeddings(4, 7), embeddings(6, 5))
    assert images.shape == (4, 12) and texts.shape == (6, 12)
    for rows in (images, texts):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))


def test_towers_have_two_layers_for_images_and_three_for_texts_and_start_without_bias():
    towers = TwoTower(7, 5, dimension=12, hidden=9)
    shapes = [[tuple(layer.weight.shape) for layer in tower if isinstance(layer, torch.nn.Linear)]
              for tower in (towers.image_tower, towers.text_tower)]  # fmt: skip
    assert shapes == [[(9, 7), (12, 9)], [(9, 5), (9, 9), (12, 9)]]
    assert all(not parameter.any() for name, parameter in towers.named_parameters() if name.endswith("bias"))


def test_a_tower_is_linear_maps_with_a_relu_between_and_none_at_the_end():
    towers = TwoTower(7, 5, dimension=12, hidden=9)
    first, last = (layer for layer in towers.image_tower if isinstance(layer, torch.nn.Linear))
    x = embeddings(4, 7)
    by_hand = (x @ first.weight.T).clamp(min=0) @ last.weight.T
    torch.testing.assert_close(towers.images(x), by_hand / by_hand.norm(dim=1, keepdim=True))
    assert (towers.images(x) < 0).any()


def test_the_weights_of_towers_are_drawn_after_he():
    torch.manual_seed(0)
    first = TwoTower(400, 300, dimension=10, hidden=500).image_tower[1]
    assert first.weight.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.01)


def test_one_layer_and_any_dimension_will_do():
    towers = TwoTower(7, 5, dimension=4096, image_layers=1, text_layers=1)
    assert [tuple(p.shape) for p in towers.parameters()] == [(4096, 7), (4096,), (4096, 5), (4096,)]


def test_dropout_acts_while_training_and_not_afterwards():
    towers, x = TwoTower(7, 5, dropout=0.5), embeddings(4, 7)
    assert not torch.equal(towers.images(x), towers.images(x))
    towers.eval()
    assert torch.equal(towers.images(x), towers.images(x))


def test_each_tower_may_have_a_dropout_of_its_own():
    towers, x, y = TwoTower(7, 5, dropout=(0.5, 0.0)), embeddings(4, 7), embeddings(4, 5)
    assert not torch.equal(towers.images(x), towers.images(x))
    assert torch.equal(towers.texts(y), towers.texts(y))


def test_no_layer_and_a_dropout_of_one_are_refused():
    with pytest.raises(ValueError, match="at least 1 layer, got 0"):
        TwoTower(7, 5, text_layers=0)
    with pytest.raises(ValueError, match="below 1, got 1"):
        TwoTower(7, 5, dropout=1.0)
