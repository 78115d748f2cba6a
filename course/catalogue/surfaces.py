"""Surfaces: the patterns of cloth, and which colours and finish the parts of a product have."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .pen import CLOTH, GLASS, INK, INSIDE, LEATHER, METAL, PALE, PLAIN, RUBBER, SECOND, SHADE, THREAD, WHITE
from .plans import pick
from .products import COLOURS, PATTERNS


def fraction(x):
    """The part of x after the point, 0 to below 1."""
    return x - np.floor(x)


def zigzag(x):
    """From 1 down to 0 and back, once in a unit of x."""
    return np.abs(2 * fraction(x) - 1)


def cell_noise(i, j, salt):
    """A number in 0..1 for each cell (i, j), by integer hashing: float32."""
    h = (i.astype(np.int64) * 73856093) ^ (j.astype(np.int64) * 19349663) ^ (salt * 83492791)
    h = (h ^ (h >> 13)) * 1274126177 & 0x7FFFFFFF
    return ((h >> 8) & 1023).astype(np.float32) / np.float32(1023)


def pattern_map(pattern, u, v, frequency=1.0, lay=0, duty=0.5, phase=0.0):
    """Which colour (0 base, 1 second, 2 between) a pattern has at u, v: uint8 of their shape.

    frequency: how fine; lay (0..3): which way it runs; duty: share of the second colour; phase (0..1): where it starts.
    Raises ValueError for an unknown pattern.

    >>> pattern_map("Striped", np.zeros(4), np.array([0.0, 0.05, 0.1, 0.15]), frequency=1.25).tolist()
    [1, 0, 1, 0]
    """
    u, v = np.asarray(u, dtype=np.float32), np.asarray(v, dtype=np.float32)
    f, phase = np.float32(frequency), np.float32(phase)
    if pattern == "Solid":
        return np.zeros(u.shape, np.uint8)
    if pattern == "Striped":
        across = (v, v, u, (u + v) * np.float32(0.7))[lay]
        return (fraction(across * f * 8 + phase) < duty).astype(np.uint8)
    if pattern == "Checked":
        x, y = (u + v, u - v) if lay == 3 else (u, v)
        a, b = fraction(x * f * 5 + phase) < duty, fraction(y * f * 5 + phase) < duty
        return np.where(a & b, 1, np.where(a | b, 2, 0)).astype(np.uint8)
    if pattern == "Dotted":
        y = v * f * 6 + phase
        x = u * f * 6 + np.floor(y) * np.float32(0.5)
        return ((fraction(x) - 0.5) ** 2 + (fraction(y) - 0.5) ** 2 < 0.04 + 0.14 * (duty - 0.3)).astype(np.uint8)
    if pattern == "Zigzag":
        return (fraction(v * f * 6 + phase + np.float32(0.9) * zigzag(u * f * 4)) < 0.5).astype(np.uint8)
    if pattern == "Colour Blocked":
        edge = (v + 0.12, v - 0.1, u, u + v)[lay]
        return (edge > (phase - 0.5) * np.float32(0.3)).astype(np.uint8)
    if pattern == "Floral":
        return _floral(u * f * 4 + phase, v * f * 4)
    if pattern == "Camouflage":
        return _camouflage(u * f * 3 + phase * 7, v * f * 3)
    if pattern == "Printed":
        return _print(u, v + np.float32(0.12), lay)
    raise ValueError(f"expected a pattern ({', '.join(PATTERNS)}), got {pattern!r}")


def _floral(x, y):
    """Flowers of five petals, one in every unit cell."""
    i, j = np.floor(x), np.floor(y)
    x = x - i - (np.float32(0.35) + np.float32(0.3) * cell_noise(i, j, 1))
    y = y - j - (np.float32(0.35) + np.float32(0.3) * cell_noise(i, j, 2))
    out = np.zeros(x.shape, np.uint8)
    for px, py in ((0.0, -0.2), (0.19, -0.06), (0.12, 0.16), (-0.12, 0.16), (-0.19, -0.06)):
        out[(x - np.float32(px)) ** 2 + (y - np.float32(py)) ** 2 < 0.02] = 1
    out[x * x + y * y < 0.011] = 2
    return out


def _camouflage(x, y):
    """Smooth noise of two octaves, cut into three levels."""
    level = np.zeros(x.shape, np.float32)
    for octave, weight in ((1, 1.0), (2, 0.5)):
        i, j = np.floor(x * octave), np.floor(y * octave)
        s, t = x * octave - i, y * octave - j
        s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
        upper = cell_noise(i, j, octave) * (1 - s) + cell_noise(i + 1, j, octave) * s
        lower = cell_noise(i, j + 1, octave) * (1 - s) + cell_noise(i + 1, j + 1, octave) * s
        level += np.float32(weight) * (upper * (1 - t) + lower * t)
    return np.where(level > 0.92, 1, np.where(level < 0.6, 2, 0)).astype(np.uint8)


def _print(x, y, lay):
    """One motif at the centre: a target, lines of text, a diamond or a crescent."""
    square = x * x + y * y
    if lay == 0:
        return np.where(square < 0.012, 2, np.where(square < 0.05, 1, 0)).astype(np.uint8)
    if lay == 1:
        return ((np.abs(x) < 0.24) & (np.abs(y) < 0.16) & (fraction(y * 12) < 0.55)).astype(np.uint8)
    if lay == 2:
        return (np.abs(x) + np.abs(y) < 0.24).astype(np.uint8) + (np.abs(x) + np.abs(y) < 0.13)
    return ((square < 0.06) & ((x - np.float32(0.1)) ** 2 + (y + np.float32(0.06)) ** 2 > 0.035)).astype(np.uint8)


def shaded(rgb, factor):
    """A colour made darker (factor below 1) or lighter."""
    return tuple(int(min(255, max(0, round(c * factor)))) for c in rgb)


@dataclass
class Surface:
    """How the parts of a product look: the colour of each material, the pattern and the finish of the cloth."""

    colours: np.ndarray  # uint8 (16, 3), by material
    tones: np.ndarray  # uint8 (3, 3): the colours of the pattern
    finish: str = "rubber"
    pattern: str = "Solid"
    lie: dict = field(default_factory=dict)  # how the pattern lies, for `pattern_map`


def surface_of(rng, look):
    """Surface of a look: its base colour, varied a little, and the colours that go with it."""
    names = (look.colour, look.second)
    base, second = (tuple(int(np.clip(c + rng.integers(-16, 17), 0, 255)) for c in COLOURS[x][0]) for x in names)
    between = tuple((x + y) // 2 for x, y in zip(base, second, strict=True))
    colours = {
        CLOTH: base,
        PLAIN: base,
        SHADE: (66, 66, 70) if look.colour == "Black" else shaded(base, 0.74),
        INSIDE: shaded(base, 0.45),
        SECOND: second,
        WHITE: (240, 239, 234),
        INK: (40, 38, 40),
        METAL: pick(rng, ((196, 198, 204), (206, 170, 92), (120, 122, 128))),
        RUBBER: pick(rng, ((232, 230, 224), (60, 58, 58), (190, 150, 100), (236, 236, 236))),
        LEATHER: pick(rng, ((92, 58, 36), (44, 38, 36), (152, 106, 66))),
        GLASS: pick(rng, ((40, 44, 50), (64, 48, 40), (36, 58, 84))),
        THREAD: (206, 148, 72),
        PALE: tuple(min(255, c + 34) for c in base),
    }
    table = np.zeros((16, 3), np.uint8)
    table[list(colours)] = list(colours.values())
    tones = np.array([base, second, shaded(base, 0.6) if look.pattern == "Camouflage" else between], np.uint8)
    lie = {k: look.a[k] for k in ("frequency", "lay", "duty", "phase")}
    return Surface(table, tones, look.finish, look.pattern, lie)


def painted(*tones):
    """Surface of a prop, from the colours of the materials CLOTH, PLAIN, SHADE, INSIDE."""
    table = np.zeros((16, 3), np.uint8)
    table[1 : 1 + len(tones)] = tones
    return Surface(table, table[1:4])


GLOSSY = {METAL: 0.9, GLASS: 0.9, LEATHER: 0.4}


def shift(image, x, y):
    """`image` moved by x, y, rounded to whole pixels; its edges are repeated."""
    x, y = round(x), round(y)
    h, w = image.shape
    padded = np.pad(image, ((max(y, 0), max(-y, 0)), (max(x, 0), max(-x, 0))), mode="edge")
    return padded[max(-y, 0) :, max(-x, 0) :][:h, :w]


def smooth_noise(rng, shape, cells):
    """Smooth noise, uint8 of `shape`, about `cells` (x, y) blobs across."""
    grid = rng.integers(0, 256, (cells[1] + 1, cells[0] + 1), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
