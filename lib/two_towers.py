"""Two towers, features of images and features of texts mapped into one space, for torch: `TwoTower`.

Needs torch. Copy this file alone.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class TwoTower(nn.Module):
    """Map features of images (n, n_image) and of texts (n, n_text) into one space: (n, dimension) each, of unit length.

    Each tower is a stack of linear layers, `hidden` wide, with a ReLU between them: 2 for images and 3 for texts in
    Conde, Martin and López, Image retrieval. While training, `dropout` precedes every layer: one number, or one for
    images and one for texts. Weights are initialised after He et al. (2015, normal with variance 2 / fan-out) from
    torch's global generator, biases with 0. An output row of zeros stays zeros. ValueError for no layer, or a dropout
    outside 0 <= dropout < 1.
    >>> import torch
    >>> towers = TwoTower(n_image=512, n_text=100, dimension=256)
    >>> images, texts = towers(torch.rand(5, 512), torch.rand(5, 100))
    >>> images.shape, texts.shape, images.norm(dim=1).allclose(torch.ones(5))
    (torch.Size([5, 256]), torch.Size([5, 256]), True)
    """

    def __init__(
        self, n_image: int, n_text: int, dimension: int = 512, hidden: int = 512, image_layers: int = 2,
        text_layers: int = 3, dropout: float | Sequence[float] = 0.0,
    ):  # fmt: skip
        super().__init__()
        of_images, of_texts = dropout if isinstance(dropout, Sequence) else (dropout, dropout)
        self.image_tower = _tower(n_image, dimension, hidden, image_layers, of_images)
        self.text_tower = _tower(n_text, dimension, hidden, text_layers, of_texts)

    def images(self, features: Tensor) -> Tensor:
        return functional.normalize(self.image_tower(features))

    def texts(self, features: Tensor) -> Tensor:
        return functional.normalize(self.text_tower(features))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        return self.images(images), self.texts(texts)


def _tower(n_in, n_out, hidden, n_layers, dropout):
    if n_layers < 1:
        raise ValueError(f"a tower must have at least 1 layer, got {n_layers}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
    widths = [n_in, *[hidden] * (n_layers - 1), n_out]
    parts = []
    for i in range(n_layers):
        parts += [nn.Dropout(dropout), nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    tower = nn.Sequential(*parts[:-1])
    for layer in tower:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return tower
