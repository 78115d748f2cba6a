"""Grounds: the backgrounds of the scenes, one function for each kind in `BACKGROUNDS`.

Each takes (rng, side, ground, tones): pixels a side, a quiet colour, and four colours of products, and returns an image
(side, side, 3).
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .pen import curve, oval, pose
from .plans import pick
from .products import COLOURS
from .surfaces import cell_noise, fraction, pattern_map, shaded, smooth_noise


def draw_ground(rng, kind, side):
    """A ground of one of the kinds in BACKGROUNDS: PIL image, side x side pixels."""
    tones = [COLOURS[pick(rng, list(COLOURS))][0] for _ in range(4)]  # colours of products, so that they mislead
    neutral = pick(rng, _NEUTRALS)
    mixed = tuple((2 * n + t) // 3 for n, t in zip(neutral, tones[0], strict=True))
    ground = pick(rng, (neutral, neutral, mixed) if kind == "Plain" else (neutral, mixed, tones[0]))
    image = _GROUNDS[kind](rng, side, ground, tones).astype(np.float32)
    mottle = (smooth_noise(rng, (side, side), (3, 3)).astype(np.float32) - 128) * np.float32(0.08)
    return Image.fromarray(np.rint(np.clip(image + mottle[..., None], 0, 255)).astype(np.uint8))


_NEUTRALS = ((238, 238, 236), (222, 218, 210), (200, 204, 208), (246, 244, 240), (176, 172, 168))
_WOODS = ((164, 116, 72), (120, 82, 54), (206, 172, 128), (150, 140, 128), (88, 62, 46))


def _plain(rng, side, ground, tones):
    return np.full((side, side, 3), ground, np.float32)


def _gradient(rng, side, ground, tones):
    ramp = np.arange(side, dtype=np.float32)[:, None] / np.float32(side)
    around = np.abs(ramp - np.float32(0.5)) + np.abs(ramp.T - np.float32(0.5))
    ramp = around if rng.random() < 0.5 else ramp + np.zeros((1, side), np.float32)
    start, end = np.array(ground, np.float32), np.array(pick(rng, (tones[1], shaded(ground, 0.6))), np.float32)
    return start + (end - start) * ramp[..., None]


def _wood(rng, side, ground, tones):
    planks, lengthwise = int(rng.integers(3, 7)), rng.random() < 0.5
    tone = np.zeros((side, 1), np.float32)
    for i in range(planks):
        top_ = i * side // planks
        tone[top_ : (i + 1) * side // planks] = float(rng.integers(-24, 25))
        tone[top_ : top_ + max(1, side // 90)] = -70  # the gap
    tone = tone + (smooth_noise(rng, (side, side), (3, 40)).astype(np.float32) - 128) * np.float32(0.22)
    wood = np.array(pick(rng, _WOODS), np.float32) + tone[..., None]
    return wood if lengthwise else wood.transpose(1, 0, 2)


def _turned(rng, side):
    """Coordinates u, v (side, side) of a surface turned by a random angle."""
    across = np.arange(side, dtype=np.float32)
    where = pose((side / 2, side / 2), side / 2, float(rng.random() * 90))
    return where.own_coordinates(across[None, :], across[:, None])


def _tiles(rng, side, ground, tones):
    u, v = (x * np.float32(rng.integers(2, 5)) for x in _turned(rng, side))
    i, j = np.floor(u), np.floor(v)
    tiles = np.array([ground, tones[1]], np.float32)[((i + j) % 2 == 0) * int(rng.random() < 0.4)]
    tiles = tiles + (cell_noise(i, j, int(rng.integers(1000))) - np.float32(0.5))[..., None] * 50
    return np.where(((fraction(u) < 0.05) | (fraction(v) < 0.05))[..., None], np.float32(90), tiles)


def _cloth(rng, side, ground, tones):
    u, v = _turned(rng, side)
    kind = pick(rng, ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Solid"))
    index = pattern_map(kind, u, v, 0.4 + float(rng.random()), int(rng.integers(4)), 0.5)
    between = tuple((x + y) // 2 for x, y in zip(ground, tones[1], strict=True))
    crumple = (smooth_noise(rng, (side, side), (5, 5)).astype(np.float32) - 128) * np.float32(0.0016) + 1
    weave = (smooth_noise(rng, (side, side), (96, 96)).astype(np.float32) - 128) * np.float32(0.1)
    return np.array([ground, tones[1], between], np.float32)[index] * crumple[..., None] + weave[..., None]


def _shapes(rng, side, ground, tones):
    image = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(7, 16))):
        x, y, radius = rng.random() * side, rng.random() * side, (0.05 + 0.2 * rng.random()) * side
        smooth = rng.random() < 0.5
        outline = oval(0, 0, 1, n=int(rng.integers(3, 8)))
        outline = [
            (x + radius * (0.6 + 0.4 * rng.random()) * a, y + radius * (0.6 + 0.4 * rng.random()) * b)
            for a, b in outline
        ]
        points = np.rint(curve(outline if smooth else [(*q, 1) for q in outline])).astype(int)
        pencil.polygon([tuple(q) for q in (points + side // 60).tolist()], fill=shaded(ground, 0.7))
        pencil.polygon([tuple(q) for q in points.tolist()], fill=shaded(pick(rng, tones), 0.6 + 0.6 * rng.random()))
    return np.asarray(image)


def _shelf(rng, side, ground, tones):
    image = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(image)
    for level in range(int(rng.integers(2, 4))):
        x, low = 0.0, side * (0.2 + 0.32 * level + 0.1 * rng.random())
        while x < 1:
            width, tall, brightness, there = (float(q) for q in rng.random(4))
            width, tone = 0.04 + 0.1 * width, shaded(pick(rng, tones), 0.6 + 0.5 * brightness)
            if there < 0.7:
                box = [round(q) for q in (x * side, low - (0.08 + 0.2 * tall) * side, (x + width) * side, low)]
                pencil.rounded_rectangle(box, radius=side // 60, fill=tone)
                pencil.line((box[0] + 2, box[1] + 3, box[0] + 2, box[3] - 3), fill=shaded(tone, 1.3))
            x += width + 0.015
        pencil.rectangle((0, round(low), side, round(low + side / 24)), fill=(132, 98, 66))
        pencil.rectangle((0, round(low + side / 24), side, round(low + side / 17)), fill=shaded(ground, 0.6))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side * 0.006)))


def _bokeh(rng, side, ground, tones):
    image = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(14, 30))):
        x, y, radius = rng.random() * side, rng.random() * side, (0.02 + 0.09 * rng.random()) * side
        box = tuple(round(q) for q in (x - radius, y - radius, x + radius, y + radius))
        pencil.ellipse(box, fill=shaded(pick(rng, tones), 0.8 + 0.5 * rng.random()))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side * 0.02)))


def _marble(rng, side, ground, tones):
    large, small = (smooth_noise(rng, (side, side), (n, n)).astype(np.int16) - 128 for n in (5, 13))
    veins = np.clip(38 - 4 * np.abs(large + small // 3), 0, 38) + np.clip(14 - np.abs(large - 40 + small // 2), 0, 14)
    return _plain(rng, side, ground, tones) - veins[..., None]


_GROUNDS = {
    "Plain": _plain,
    "Gradient": _gradient,
    "Wood": _wood,
    "Tiles": _tiles,
    "Fabric": _cloth,
    "Shapes": _shapes,
    "Shelf": _shelf,
    "Bokeh": _bokeh,
    "Marble": _marble,
}
