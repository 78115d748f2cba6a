"""The embedded collection: a small shop catalogue of which every pixel and every word is known, because code draws it.

Contents: `write` draws the collection into a folder, `draw` draws one image of it, `probe` draws images of classes that differ in
one thing only, and the tables `TYPES`, `COLOURS`, `PATTERNS`, `BACKGROUNDS` say what there is to draw.

How an image comes to be: a *plan* (which products, their attributes, the scene) is drawn from `default_rng([seed, image])`; each
product is a short function that fills smooth outlines with materials in its own coordinates; the outlines are placed (turned,
sheared, seen in perspective), coloured through palette, pattern and light, and laid over a background with a shadow; what lies on
top of a product is cut out of its mask. All is done at three times the size and averaged down. Only integers and exactly
rounded arithmetic reach a pixel, so the same seed gives the same pixels in any process.

Needs numpy, Pillow and tqdm. Copy this file alone.
"""

import csv
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm.auto import tqdm

VERSION = 1  # raise it with every change that changes a pixel or a word: older drawings are then drawn anew
OVERSAMPLE = 3  # images are drawn at this many times their size; odd, so that a mask pixel has a centre

# ------------------------------------------------------------------------------------------------- outlines and the pen

# Materials, the values of the material map; 0 is see-through.
(CLOTH, PLAIN, SHADE, INSIDE, SECOND, WHITE, INK, METAL, RUBBER, LEATHER, GLASS, THREAD, PALE) = range(1, 14)
OPEN = 0


def curve(points, closed=True, steps=6):
    """Smooth line through `points`: a Catmull-Rom spline with tangents as long as each stretch; a third entry marks a corner.

    Two corners in a row are joined by a straight stretch. Returns float64 (m, 2).

    >>> curve([(0, 0, 1), (3, 0, 1), (3, 3, 1)], steps=3)[:4].tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
    """
    n = len(points)
    xy = np.array([p[:2] for p in points], dtype=np.float64)
    corner = np.array([len(p) > 2 for p in points])[:, None]
    if not closed:
        corner[[0, -1]] = True
    after, before = np.arange(1, n + 1) % n, np.arange(-1, n - 1)
    end = xy[after]
    stretch, chord = end - xy, end - xy[before]
    length = np.sqrt(stretch[:, :1] ** 2 + stretch[:, 1:] ** 2)
    direction = chord / (np.sqrt(chord[:, :1] ** 2 + chord[:, 1:] ** 2) + 1e-9)
    leave = np.where(corner, stretch, direction * length)[:, None]
    arrive = np.where(corner[after], stretch, direction[after] * length)[:, None]
    s = (np.arange(steps) / steps)[None, :, None]
    stretch = stretch[:, None]  # a Hermite cubic, in a form that keeps straight stretches exact: (n, steps, 2)
    line = xy[:, None] + s * (leave + s * ((3 * stretch - 2 * leave - arrive) + s * (leave + arrive - 2 * stretch)))
    if closed:
        return line.reshape(-1, 2)
    return np.concatenate([line[:-1].reshape(-1, 2), xy[-1:]])


def mirrored(points):
    """The whole outline from its right half, given from top to bottom with x >= 0.

    >>> mirrored([(1, 0, 1), (2, 5)])
    [(1, 0, 1), (2, 5), (-2, 5), (-1, 0, 1)]
    """
    return list(points) + [(-p[0], *p[1:]) for p in reversed(points) if p[0] != 0]


def oval(x, y, rx, ry=None, n=8):
    """Points around an ellipse, for `curve`."""
    ry = rx if ry is None else ry
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in (2 * math.pi * i / n for i in range(n))]


@dataclass
class Pose:
    """Where a product's own coordinates (about -1..1, y down) lie in the drawing: a 3x3 projective matrix and a bend."""

    matrix: np.ndarray
    bend: float = 0.0

    def place(self, points):
        xy = np.asarray(points, dtype=np.float64)
        u, v = xy[:, 0] + self.bend * xy[:, 1] ** 2, xy[:, 1]
        m = self.matrix
        w = m[2, 0] * u + m[2, 1] * v + m[2, 2]
        x, y = (m[0, 0] * u + m[0, 1] * v + m[0, 2]) / w, (m[1, 0] * u + m[1, 1] * v + m[1, 2]) / w
        return np.rint(np.stack([x, y], axis=1)).astype(int)

    def own_coordinates(self, x, y):
        """Of pixels x, y (float32, any shapes that fit together): u and v, float32."""
        (a, b, c), (d, e, f), (g, h, i) = self.matrix.tolist()
        inverse = (
            (e * i - f * h, c * h - b * i, b * f - c * e),
            (f * g - d * i, a * i - c * g, c * d - a * f),
            (d * h - e * g, b * g - a * h, a * e - b * d),
        )
        u, v, w = (np.float32(p) * x + np.float32(q) * y + np.float32(s) for p, q, s in inverse)
        u, v = u / w, v / w
        return u - np.float32(self.bend) * v * v, v

    @property
    def unit(self):
        """Pixels in one unit of the product's own coordinates, about."""
        m = self.matrix
        return math.sqrt(abs(float(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])))


def pose(centre, unit, turn=0.0, shear=0.0, squeeze=1.0, mirror=False, tilt=(0.0, 0.0), bend=0.0):
    """Pose with the product's centre at `centre` (pixels), `unit` pixels a unit, turned by `turn` degrees, tilted back."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    sx = unit * squeeze * (-1 if mirror else 1)
    a, b, d, e = c * sx, c * shear * unit - s * unit, s * sx, s * shear * unit + c * unit
    p, q = tilt
    x, y = centre  # the perspective keeps the centre where it is
    return Pose(np.array([[a + x * p, b + x * q, x], [d + y * p, e + y * q, y], [p, q, 1.0]]), bend)


class Pen:
    """Draws the parts of one product, in its own coordinates, into a map of materials and a map of heights."""

    def __init__(self, side, where):
        self.pose = where
        self.material = Image.new("L", (side, side), 0)
        self.height = Image.new("L", (side, side), 0)
        self._material, self._height = ImageDraw.Draw(self.material), ImageDraw.Draw(self.height)
        self.offset = (0.0, 0.0, 1.0, 1.0)  # x, y, scale of x, scale of y

    def at(self, x=0.0, y=0.0, scale=1.0, flip=False):
        """Move what is drawn next, e.g. the second shoe of a pair."""
        self.offset = (x, y, -scale if flip else scale, scale)

    def _pixels(self, points):
        x, y, sx, sy = self.offset
        return [tuple(p) for p in self.pose.place(np.asarray(points) * (sx, sy) + (x, y)).tolist()]

    def fill(self, points, material=CLOTH, height=150, steps=6):
        line = self._pixels(curve(points, steps=steps))
        self._material.polygon(line, fill=material)
        self._height.polygon(line, fill=height if material else 0)

    def line(self, points, width, material=SHADE, height=150):
        line, pixels = self._pixels(curve(points, closed=False)), max(1, round(width * self.pose.unit * self.offset[3]))
        self._material.line(line, fill=material, width=pixels, joint="curve")
        self._height.line(line, fill=height, width=pixels, joint="curve")

    def seam(self, points, width=0.016, height=95):
        """A groove (or with a greater height, a fold) that the light shows; the material stays."""
        line = self._pixels(curve(points, closed=False))
        self._height.line(
            line, fill=height, width=max(1, round(width * self.pose.unit * self.offset[3])), joint="curve"
        )

    def disc(self, x, y, r, material=METAL, height=190, ry=None):
        self.fill(oval(x, y, r, ry), material, height, steps=4)


def both(draw, *lines_and_rest):
    """Draw the same on the right and, mirrored, on the left."""
    points, *rest = lines_and_rest
    draw(points, *rest)
    draw([(-p[0], *p[1:]) for p in points], *rest)


# ------------------------------------------------------------------------------------------------------- the products
# Each function draws one type with pen `p`, shape jitter from `r` (r(low, high)) and the look's attributes `a`.


def folds(p, r, n, x=(-0.4, 0.4), y=(-0.4, 0.7), length=(0.2, 0.6), steep=True):
    """Soft folds: broad strokes in the height map only."""
    for _ in range(n):
        cx, cy, half, lean = r(*x), r(*y), r(*length) / 2, r(-0.3, 0.3)
        dx, dy = (lean * half, half) if steep else (half, lean * half)
        points = [(cx - dx, cy - dy), (cx + r(-0.04, 0.04), cy), (cx + dx, cy + dy)]
        p.seam(points, r(0.03, 0.07), 150 + int(r(14, 34)) * (1 if r(0, 1) < 0.5 else -1))


SLEEVES = {"Sleeveless": 0.0, "Short Sleeves": 0.36, "Three-Quarter Sleeves": 0.78, "Long Sleeves": 1.08}


def sleeves(p, r, a, shoulder, cuff=0.1, loose=0.0, band=0, length=None):
    """Both sleeves; `band` is the material of the cuffs, 0 for none."""
    length = SLEEVES[a["sleeve"]] * r(0.93, 1.05) if length is None else length
    if not length:
        return
    angle = r(0.75, 1.05) if length < 0.5 else r(0.2, 0.52)
    for side in (1, -1):
        turn = angle + r(-0.06, 0.06)
        dx, dy = math.sin(turn), math.cos(turn)
        top, pit = (shoulder, -0.62), (shoulder + loose, -0.24 + loose)
        end = (shoulder - 0.02 + length * dx, -0.43 + length * dy)
        out, inn = (end[0] + cuff * dy, end[1] - cuff * dx), (end[0] - cuff * dy, end[1] + cuff * dx)
        bow = ((top[0] + out[0]) / 2 + 0.05 + loose, (top[1] + out[1]) / 2 - 0.05)
        sleeve = [(0.2, -0.66, 1), top, bow, (*out, 1), (*inn, 1), (*pit, 1), (0.2, 0.0, 1)]
        p.fill([(side * x[0], *x[1:]) for x in sleeve], CLOTH, 135)
        p.seam([(side * (shoulder - 0.01), -0.62), (side * (shoulder - 0.04), -0.4), (side * pit[0], pit[1])], 0.02, 80)
        if length > 0.5:
            for t in (0.35, 0.5, 0.68):
                x, y = shoulder + t * length * dx, -0.43 + t * length * dy
                p.seam([(side * (x - 0.06), y - 0.05), (side * (x + 0.05), y + r(-0.02, 0.06))], 0.035, 112)
        if band:
            b = 0.09
            cuffs = [out, inn, (inn[0] - b * dx, inn[1] - b * dy), (out[0] - b * dx, out[1] - b * dy)]
            p.fill([(side * x[0], x[1], 1) for x in cuffs], band, 160)


def body(
    p, r, shoulder=0.42, waist=0.36, hem=0.39, bottom=0.72, neck=0.16, depth=0.12, pointed=False, flare=0.0, lining=True
):
    """The trunk of a garment with its neckline; returns the neckline's points, left to right."""
    dip = (0, -0.72 + depth, 1) if pointed else (0, -0.72 + depth)
    sides = [(-neck, -0.73, 1), dip, (neck, -0.73, 1)]
    if not pointed:
        sides = [sides[0], (-neck * 0.72, -0.73 + depth * 0.72), dip, (neck * 0.72, -0.73 + depth * 0.72), sides[2]]
    if lining:
        p.fill([(-neck, -0.73, 1), (0, -0.77), (neck, -0.73, 1), dip], INSIDE, 90)
    right = [(shoulder, -0.62), (shoulder - 0.02, -0.4), (shoulder, -0.24), (waist, 0.16), (hem + flare, bottom, 1)]
    left = [(-x[0], *x[1:]) for x in reversed(right)]
    p.fill([*sides, *right, (0, bottom + 0.03 + 0.2 * flare), *left], CLOTH, 150)
    return sides


def tshirt(p, r, a):
    sleeves(p, r, a, 0.43, 0.14, r(0, 0.03))
    pointed, polo = a["neckline"] == "V-Neck", a["neckline"] == "Polo Collar"
    depth = {"Crew Neck": r(0.1, 0.14), "V-Neck": r(0.24, 0.32), "Scoop Neck": r(0.22, 0.3), "Polo Collar": 0.12}[
        a["neckline"]
    ]
    line = body(p, r, 0.43, r(0.36, 0.41), r(0.38, 0.42), r(0.62, 0.74), r(0.16, 0.2), depth, pointed)
    folds(p, r, 4)
    if polo:
        p.line([(0, -0.62), (0, -0.3)], 0.07, PLAIN, 160)
        for y in (-0.53, -0.44, -0.35):
            p.disc(0, y, 0.016, WHITE)
        both(p.fill, [(0.02, -0.58, 1), (0.2, -0.75, 1), (0.25, -0.66), (0.13, -0.5, 1)], PLAIN, 190)
    else:
        p.line(line, 0.035, SECOND if a["trim"] else PLAIN, 175)
    p.seam([(-0.39, 0.62), (0, 0.65), (0.39, 0.62)], 0.012)


def shirt(p, r, a):
    sleeves(p, r, a, 0.43, 0.1, 0.0, PLAIN if SLEEVES[a["sleeve"]] > 0.5 else 0)
    body(p, r, 0.43, r(0.36, 0.4), r(0.38, 0.42), 0.7, 0.17, 0.16, True, r(0, 0.02))
    folds(p, r, 3)
    p.seam([(-0.045, -0.5), (-0.045, 0.73)], 0.016, 90)
    p.seam([(0.045, -0.5), (0.045, 0.73)], 0.016, 100)
    for i in range(6):
        p.disc(0, -0.46 + i * 0.2, 0.022, WHITE if a["dark"] else INK, 200)
    if a["pocket"]:
        p.seam([(0.14, -0.28), (0.32, -0.28), (0.32, -0.1), (0.23, -0.06), (0.14, -0.1), (0.14, -0.28)], 0.02, 90)
    p.fill(mirrored([(0, -0.79), (0.16, -0.77), (0.19, -0.7), (0, -0.66)]), PLAIN, 150)
    p.fill([(-0.13, -0.72), (0, -0.745), (0.13, -0.72), (0, -0.58, 1)], INSIDE, 80)
    both(p.fill, [(0.0, -0.56, 1), (0.14, -0.78, 1), (0.22, -0.69), (0.2, -0.5, 1)], PLAIN, 200)


def top(p, r, a):
    """A camisole or tank top: straps instead of shoulders."""
    wide, low = r(0.24, 0.28), r(0.5, 0.66)
    both(p.line, [(wide, -0.44), (wide - 0.05, -0.8)], r(0.035, 0.08), PLAIN)
    p.fill(mirrored([(0, -0.3 + r(-0.06, 0.04)), (wide - 0.02, -0.47, 1), (wide + 0.05, -0.46, 1), (0.33, -0.26), (0.36, -0.16, 1),
                     (r(0.28, 0.32), 0.14), (r(0.4, 0.5), low, 1), (0.2, low + 0.05), (0, low + 0.03)]))  # fmt: skip
    folds(p, r, 5, (-0.3, 0.3), (0.0, 0.5))
    p.line([(-wide, -0.46), (0, -0.31), (wide, -0.46)], 0.03, SECOND if a["trim"] else PLAIN, 180)
    if a["frill"]:
        p.seam([(-0.3, 0.12), (0, 0.15), (0.3, 0.12)], 0.03, 90)


def sweatshirt(p, r, a):
    """A hoodie: hood, drawstrings, kangaroo pocket."""
    sleeves(p, r, a, 0.46, 0.11, 0.05, SHADE)
    p.fill(mirrored([(0, -0.95), (0.17, -0.9), (0.29, -0.74), (0.26, -0.52), (0, -0.48)]), CLOTH, 150)
    p.fill(mirrored([(0, -0.86), (0.14, -0.8), (0.18, -0.7), (0.1, -0.54), (0, -0.48, 1)]), INSIDE, 60)
    body(p, r, 0.46, 0.43, 0.42, 0.66, 0.2, 0.22, False, lining=False)
    folds(p, r, 4)
    p.fill(mirrored([(0, -0.44), (0.12, -0.53), (0.2, -0.68, 1), (0.26, -0.64), (0.2, -0.48), (0, -0.36)]), CLOTH, 190)
    if a["zip"]:
        p.line([(0, -0.4), (0, 0.72)], 0.026, METAL, 190)
    p.seam(
        [(-0.17, 0.16), (0.17, 0.16), (0.28, 0.4), (0.28, 0.58), (-0.28, 0.58), (-0.28, 0.4), (-0.17, 0.16)], 0.024, 80
    )
    for x, end in ((0.07, r(-0.2, -0.1)), (-0.07, r(-0.2, -0.1))):
        p.line([(x, -0.45), (x * 1.3, -0.3), (x, end)], 0.026, WHITE, 210)
    p.fill([(-0.41, 0.6, 1), (0.41, 0.6, 1), (0.38, 0.74, 1), (-0.38, 0.74, 1)], SHADE, 160)


def sweater(p, r, a):
    """A knitted jumper: ribbed hem, cuffs and neck; a high roll neck or a V."""
    sleeves(p, r, a, 0.45, 0.1, 0.05, SHADE)
    neck, pointed = a["neckline"], a["neckline"] == "V-Neck"
    line = body(p, r, 0.45, 0.42, 0.4, 0.62, 0.18, 0.34 if pointed else 0.1, pointed, 0.0, neck != "Turtleneck")
    for x in np.arange(-0.36, 0.37, 0.12):
        p.seam([(x, -0.4), (x + r(-0.01, 0.01), 0.56)], 0.03, 128)
    if a["cable"]:
        for x in (-0.16, 0.16):
            for y in np.arange(-0.4, 0.5, 0.13):
                p.seam([(x - 0.05, y), (x + 0.05, y + 0.12)], 0.035, 200)
                p.seam([(x + 0.05, y), (x - 0.05, y + 0.12)], 0.035, 90)
    if neck == "Turtleneck":
        p.fill(mirrored([(0, -0.93), (0.17, -0.92, 1), (0.19, -0.68, 1), (0, -0.63)]), SHADE, 190)
        for x in (-0.1, 0, 0.1):
            p.seam([(x, -0.9), (x, -0.66)], 0.02, 120)
    else:
        p.line(line, 0.06, SHADE, 185)
    p.fill([(-0.4, 0.56, 1), (0.4, 0.56, 1), (0.37, 0.71, 1), (-0.37, 0.71, 1)], SHADE, 165)
    for x in np.arange(-0.34, 0.35, 0.085):
        p.seam([(x, 0.58), (x, 0.7)], 0.02, 110)


def jacket(p, r, a):
    """An open jacket over a pale lining: lapels or a zip collar, flap pockets."""
    sleeves(p, r, a, 0.46, 0.12, 0.03, 0)
    low = r(0.66, 0.76)
    p.fill(mirrored([(0, -0.74), (0.2, -0.74), (0.3, -0.3), (0.3, low - 0.04, 1)]), INSIDE, 90)
    p.fill(mirrored([(0, -0.5), (0.14, -0.72), (0.15, -0.3), (0.1, low - 0.06, 1)]), WHITE, 100)
    gap = r(0.05, 0.1)
    for s in (1, -1):
        half = [
            (0.15, -0.76, 1),
            (0.46, -0.63),
            (0.45, -0.3),
            (0.41, 0.14),
            (0.45, low, 1),
            (gap + 0.05, low + 0.03),
            (gap, 0.2, 1),
            (gap + 0.01, -0.16),
        ]
        p.fill([(s * x[0], *x[1:]) for x in half], CLOTH, 165)
        p.seam([(s * 0.17, 0.34), (s * 0.37, 0.31)], 0.05, 210)
        p.seam([(s * 0.17, 0.38), (s * 0.37, 0.35)], 0.018, 80)
    folds(p, r, 3, (-0.4, 0.4), (-0.1, 0.5))
    if a["zip"]:
        both(p.line, [(gap + 0.01, -0.2), (gap + 0.01, low)], 0.03, METAL, 180)
        both(p.fill, [(0.05, -0.5, 1), (0.13, -0.82, 1), (0.24, -0.76), (0.2, -0.5, 1)], SHADE, 200)
    else:
        both(
            p.fill,
            [(gap, 0.06, 1), (0.13, -0.8, 1), (0.23, -0.7), (0.31, -0.44, 1), (0.25, -0.4, 1), (0.29, -0.34, 1)],
            PLAIN,
            205,
        )
        for y in (0.12, 0.3):
            p.disc(gap + 0.05, y, 0.03, INK)


def waistcoat(p, r, a):
    body(p, r, 0.3, 0.3, 0.34, 0.56, 0.14, 0.6, True, 0.0)
    both(
        p.fill,
        [
            (0.28, -0.64, 1),
            (0.36, -0.3),
            (0.42, -0.16, 1),
            (0.36, 0.1),
            (0.36, 0.5, 1),
            (0.16, 0.68, 1),
            (0.0, 0.52, 1),
            (0, -0.1, 1),
            (0.14, -0.74, 1),
        ],
    )
    p.seam([(0, -0.1), (0, 0.56)], 0.02, 80)
    for i in range(4):
        p.disc(-0.03, -0.06 + i * 0.15, 0.026, INK)
    both(p.seam, [(0.14, 0.26), (0.3, 0.22)], 0.035, 90)
    both(p.fill, [(0.0, -0.1, 1), (0.13, -0.74, 1), (0.2, -0.7), (0.16, -0.3)], SHADE, 190)


def dress(p, r, a):
    if SLEEVES[a["sleeve"]]:
        sleeves(p, r, a, 0.32, 0.1, 0.0, 0, SLEEVES[a["sleeve"]] * 0.6)
        p.fill([(-0.12, -0.73, 1), (0, -0.76), (0.12, -0.73, 1), (0, -0.56)], INSIDE, 80)
        bodice = [(0, -0.58), (0.13, -0.74, 1), (0.32, -0.63, 1), (0.3, -0.3)]
    else:
        both(p.line, [(0.2, -0.5), (0.14, -0.82)], r(0.035, 0.06), PLAIN)
        bodice = [(0, -0.46 + r(-0.04, 0.04)), (0.2, -0.56, 1), (0.3, -0.34, 1)]
    flare, low, waist = r(0.45, 0.66), r(0.8, 0.98), r(0.21, 0.25)
    wave = [(flare * (1 - i / 4), low + (0.035 if i % 2 else -0.01)) for i in range(5)]
    p.fill(mirrored([*bodice, (waist, -0.08, 1), (flare * 0.62, 0.36), (*wave[0], 1), *wave[1:]]), CLOTH, 150)
    for i in range(-3, 4):
        p.seam([(i * 0.06, 0.0), (i * flare / 4 + r(-0.02, 0.02), low - 0.04)], 0.045, 110 if i % 2 else 190)
    p.line([(-waist, -0.08), (0, -0.06), (waist, -0.08)], 0.06, SECOND if a["trim"] else SHADE, 185)


def jumpsuit(p, r, a):
    trousers(p, r, a, top=0.0)
    p.fill(mirrored([(0, -0.62), (0.16, -0.72, 1), (0.27, -0.5), (0.24, -0.1), (0.26, 0.04, 1)]))
    both(p.line, [(0.17, -0.68), (0.12, -0.95)], 0.06, PLAIN)
    p.line([(-0.25, -0.02), (0, 0), (0.25, -0.02)], 0.06, SHADE, 190)
    for i in range(4):
        p.disc(0, -0.52 + 0.12 * i, 0.02, METAL)


def trousers(p, r, a, top=-0.95, denim=False, wide=None, leg=None):
    waist, foot = r(0.27, 0.31), r(0.1, 0.15) if wide is None else wide
    hip, low, out = waist + r(0.04, 0.08), 0.95 if leg is None else leg, r(0.26, 0.36)
    crotch = top + (0.55 if top < -0.5 else 0.42)
    p.fill([(-waist, top, 1), (0, top + 0.03), (waist, top, 1), (0, top - 0.03)], INSIDE, 80)
    for s in (1, -1):
        half = [(0, top + 0.02, 1), (waist, top, 1), (hip, top + 0.3), (hip - 0.01, crotch), (out + foot * 0.9, low, 1), (out - foot, low + 0.02, 1),
                (0.1, crotch + 0.22), (0.0, crotch, 1)]  # fmt: skip
        p.fill([(s * x[0], *x[1:]) for x in half], CLOTH, 150 if s > 0 else 142)
        middle = [(s * 0.17, top + 0.22), (s * 0.2, crotch + 0.1), (s * out, low)]
        if not denim:
            p.seam(middle, 0.03, 215)  # the crease of pressed trousers
        p.seam([(s * 0.12, crotch + 0.2), (s * 0.26, crotch + 0.26)], 0.04, 118)
        if low > 0.5:
            p.seam([(s * 0.14, crotch + 0.62), (s * 0.3, crotch + 0.56)], 0.05, 115)
            p.seam([(s * 0.2, low - 0.22), (s * 0.36, low - 0.18)], 0.04, 118)
    p.seam([(0, top), (0.005, crotch)], 0.022, 80)
    p.line(
        [(-waist - 0.005, top + 0.05), (0, top + 0.08), (waist + 0.005, top + 0.05)],
        0.085,
        CLOTH if denim else SHADE,
        175,
    )
    return waist, top, crotch, hip, out, low, foot


def jeans(p, r, a):
    waist, top, crotch, hip, out, low, foot = trousers(p, r, a, denim=True, wide=r(0.1, 0.17))
    for s in (1, -1):
        p.line([(s * 0.12, top + 0.13), (s * 0.16, top + 0.24), (s * (hip - 0.02), top + 0.29)], 0.018, THREAD, 140)
        p.line([(s * (hip - 0.03), crotch), (s * (out + foot * 0.72), low - 0.03)], 0.014, THREAD, 140)
        p.line([(s * (out - foot), low - 0.035), (s * (out + foot * 0.9), low - 0.05)], 0.02, THREAD, 140)
        if a["faded"]:
            p.fill(oval(s * 0.22, crotch + 0.3, 0.06, 0.22), PALE, 150)
        for x in (0.12, 0.24):
            p.line([(s * x, top + 0.0), (s * x, top + 0.12)], 0.03, CLOTH, 205)
    p.line([(-waist, top + 0.11), (0, top + 0.14), (waist, top + 0.11)], 0.016, THREAD, 140)
    p.line([(0.07, top + 0.14), (0.07, crotch - 0.14), (0, crotch - 0.06)], 0.016, THREAD, 140)
    p.disc(0.01, top + 0.07, 0.026, METAL, 220)


def shorts(p, r, a):
    low, top, waist = r(0.42, 0.6), -0.5, r(0.44, 0.5)
    for s in (1, -1):
        half = [
            (0, top, 1),
            (waist, top, 1),
            (waist + 0.08, -0.1),
            (waist + r(0.12, 0.2), low, 1),
            (0.09, low + 0.05, 1),
            (0.0, 0.1, 1),
        ]
        p.fill([(s * x[0], *x[1:]) for x in half], CLOTH, 150 if s > 0 else 142)
        p.seam([(s * 0.2, top + 0.12), (s * (waist + 0.04), top + 0.34)], 0.026, 85)
        p.seam([(s * 0.1, low - 0.04), (s * (waist + 0.12), low - 0.08)], 0.016, 95)
        p.seam([(s * 0.1, 0.12), (s * 0.3, 0.2)], 0.05, 118)
    folds(p, r, 4, (-0.45, 0.45), (-0.1, 0.4), (0.15, 0.35))
    p.seam([(0, top), (0, 0.1)], 0.022, 80)
    p.line([(-waist, top + 0.04), (0, top + 0.06), (waist, top + 0.04)], 0.11, SHADE, 180)
    for x in (0.06, -0.06):
        p.line([(x * 0.3, top + 0.06), (x, top + 0.18), (x * 0.8, top + r(0.26, 0.34))], 0.024, WHITE, 210)


def skirt(p, r, a):
    flare, low, waist = r(0.6, 0.85), r(0.5, 0.8), r(0.28, 0.34)
    wave = [(flare * (1 - i / 5), low + (0.05 if i % 2 else -0.02) - 0.08 * (i == 0)) for i in range(6)]
    p.fill(mirrored([(0, -0.58), (waist, -0.6, 1), (waist + 0.1, -0.3), (*wave[0], 1), *wave[1:]]), CLOTH, 150)
    for i in range(-4, 5):
        p.seam([(i * waist / 4.6, -0.5), (i * flare / 4.7 + r(-0.02, 0.02), low - 0.03)], 0.04, 112 if i % 2 else 196)
    p.line([(-waist, -0.56), (0, -0.53), (waist, -0.56)], 0.11, SHADE, 185)


def leggings(p, r, a):
    trousers(p, r, a, wide=0.07)


def shoe_pair(draw_one):
    """A pair from one shoe: side by side, toe to toe or one behind the other; sometimes one alone."""

    def pair(p, r, a):
        kind = a["layout"]
        if kind == 0:
            draw_one(p, r, a)
        elif kind == 1:
            p.at(-0.1, -0.3, 0.86)
            draw_one(p, r, a)
            p.at(0.08, 0.22, 0.92)
            draw_one(p, r, a)
        elif kind == 3:  # worn, seen from the front
            p.at(-0.95, 0.0, 0.85, flip=True)
            draw_one(p, r, a)
            p.at(0.95, 0.0, 0.85)
            draw_one(p, r, a)
        else:
            p.at(0.05, -0.42, 0.8, flip=True)
            draw_one(p, r, a)
            p.at(-0.02, 0.36, 0.84)
            draw_one(p, r, a)
        p.at()

    return pair


def casual_shoe(p, r, a):
    """A sneaker from the side, toe to the right."""
    p.fill([(-0.78, -0.36, 1), (-0.5, -0.34), (-0.2, -0.46, 1), (-0.3, -0.1), (-0.7, -0.1)], INSIDE, 80)
    p.fill([(-0.8, -0.36, 1), (-0.62, -0.26), (-0.3, -0.34), (-0.18, -0.48, 1), (0.1, -0.26), (0.42, -0.1), (0.78, 0.02), (0.9, 0.22, 1),
            (-0.86, 0.22, 1), (-0.86, -0.06)])  # fmt: skip
    p.fill(
        [(0.45, -0.09, 1), (0.76, 0.0), (0.92, 0.2, 1), (0.5, 0.22, 1), (0.44, 0.08)],
        SECOND if a["trim"] else SHADE,
        175,
    )
    p.fill([(-0.84, -0.34, 1), (-0.7, -0.3), (-0.62, 0.22, 1), (-0.87, 0.22, 1)], SECOND if a["trim"] else SHADE, 170)
    p.line([(-0.34, 0.14), (-0.1, 0.0), (0.1, -0.12)], 0.07, SECOND, 190)
    p.line([(-0.2, 0.16), (0.04, 0.03), (0.22, -0.06)], 0.05, SECOND, 190)
    for i in range(5):
        x, y = -0.14 + i * 0.11, -0.4 + i * 0.065
        p.line([(x - 0.05, y + 0.12), (x + 0.06, y + 0.02)], 0.036, WHITE, 215)
    p.fill([(-0.9, 0.18, 1), (0.9, 0.18, 1), (0.98, 0.26), (0.92, 0.38), (-0.84, 0.38), (-0.93, 0.28)], RUBBER, 185)
    p.seam([(-0.9, 0.3), (0.93, 0.3)], 0.018, 110)


def formal_shoe(p, r, a):
    """A laced leather shoe with a heel and a toe cap."""
    p.fill([(-0.72, -0.24, 1), (-0.4, -0.2), (-0.1, -0.34, 1), (-0.2, 0), (-0.6, 0)], INSIDE, 70)
    p.fill([(-0.78, -0.28, 1), (-0.55, -0.17), (-0.26, -0.22), (-0.1, -0.36, 1), (0.14, -0.16), (0.46, -0.04), (0.86, 0.06), (1.0, 0.2), (0.94, 0.26, 1),
            (-0.82, 0.24, 1), (-0.85, 0.0)])  # fmt: skip
    p.fill([(-0.12, -0.34, 1), (0.12, -0.17), (0.2, -0.06), (-0.06, 0.02), (-0.2, -0.16)], SHADE, 180)
    for i in range(4):
        x, y = -0.09 + i * 0.065, -0.26 + i * 0.055
        p.line([(x - 0.05, y + 0.07), (x + 0.05, y)], 0.026, INK, 210)
    p.seam([(0.52, -0.02), (0.46, 0.1), (0.5, 0.24)], 0.03, 85)
    p.seam([(-0.16, 0.0), (-0.4, 0.1), (-0.5, 0.24)], 0.024, 90)
    p.fill(
        [
            (-0.84, 0.22, 1),
            (0.96, 0.22),
            (1.02, 0.27),
            (0.9, 0.32),
            (0.3, 0.32),
            (-0.2, 0.32, 1),
            (-0.26, 0.42, 1),
            (-0.82, 0.42, 1),
        ],
        INK,
        150,
    )
    p.seam([(0.6, 0.06), (0.8, 0.1)], 0.03, 250)


def heel(p, r, a):
    """A pump on a thin high heel."""
    h = r(0.5, 0.66)
    p.fill([(-0.86, -0.36, 1), (-0.5, -0.2), (-0.1, 0.06), (0.3, 0.14), (0.1, 0.3), (-0.7, 0.0)], INSIDE, 70)
    p.fill([(-0.9, -0.4, 1), (-0.62, -0.14), (-0.2, 0.16), (0.16, 0.2), (0.42, 0.12), (0.74, 0.26), (0.96, 0.42, 1), (0.4, 0.46), (0.02, 0.42), (-0.4, 0.16),
            (-0.72, 0.0), (-0.9, -0.08)])  # fmt: skip
    p.fill(
        [(-0.92, -0.2, 1), (-0.66, -0.02), (-0.76, 0.1), (-0.8, h - 0.05, 1), (-0.87, h - 0.05, 1), (-0.9, 0.1)],
        SHADE,
        175,
    )
    p.line([(-0.74, 0.02), (-0.4, 0.2), (0.02, 0.45), (0.4, 0.49), (0.95, 0.45)], 0.04, INK, 150)
    if a["trim"]:
        p.disc(0.46, 0.22, 0.07, METAL, 230)
    if a["strap"]:
        p.line([(-0.72, -0.22), (-0.5, -0.3), (-0.26, 0.08)], 0.05, CLOTH, 190)


def boot(p, r, a):
    """An ankle or a knee boot with a block heel."""
    t = r(-0.95, -0.55)
    p.fill([(-0.62, t, 1), (-0.36, t - 0.04), (0.0, t + 0.02, 1), (-0.3, t + 0.06)], INSIDE, 70)
    p.fill([(-0.64, t, 1), (-0.3, t + 0.05), (0.02, t + 0.02, 1), (-0.02, -0.2), (0.0, 0.06), (0.3, 0.26), (0.66, 0.38), (0.82, 0.6), (0.8, 0.68, 1), (-0.62, 0.68, 1),
            (-0.66, 0.3), (-0.58, -0.1)])  # fmt: skip
    p.seam([(-0.56, 0.14), (-0.3, 0.2), (0.02, 0.08)], 0.04, 110)
    p.seam([(-0.58, -0.06), (-0.2, 0.02), (0.0, -0.06)], 0.05, 195)
    p.seam([(-0.1, 0.1), (0.1, 0.36), (0.1, 0.66)], 0.022, 85)
    if a["strap"]:
        p.line([(-0.64, 0.16), (-0.2, 0.26), (0.06, 0.16)], 0.09, SHADE, 200)
        p.disc(-0.1, 0.24, 0.06, METAL, 230)
    elif a["zip"]:
        p.line([(-0.36, t + 0.08), (-0.3, 0.3)], 0.03, METAL, 200)
    else:
        for i in range(4):
            y = t + 0.2 + i * (0.1 - t) / 4.4
            p.line([(-0.2, y + 0.05), (0.0, y)], 0.04, WHITE if a["dark"] else INK, 215)
    p.fill(
        [
            (-0.66, 0.64, 1),
            (0.8, 0.64),
            (0.88, 0.72),
            (0.8, 0.78),
            (-0.08, 0.78, 1),
            (-0.14, 0.92, 1),
            (-0.64, 0.92, 1),
        ],
        INK,
        170,
    )


def sandal(p, r, a):
    """A strappy sandal from the side."""
    p.fill(
        [
            (-0.9, 0.1, 1),
            (-0.5, 0.16),
            (0.0, 0.26),
            (0.5, 0.24),
            (0.95, 0.2, 1),
            (0.98, 0.32),
            (0.8, 0.38),
            (-0.8, 0.38),
            (-0.94, 0.26),
        ],
        RUBBER,
        140,
    )
    p.fill(
        [
            (-0.9, 0.06, 1),
            (-0.5, 0.12),
            (0.0, 0.22),
            (0.5, 0.2),
            (0.95, 0.16, 1),
            (0.95, 0.22, 1),
            (0.0, 0.29),
            (-0.9, 0.16, 1),
        ],
        LEATHER,
        170,
    )
    w = r(0.1, 0.15)
    p.line([(0.3, 0.26), (0.36, 0.0), (0.62, -0.04), (0.78, 0.22)], w, CLOTH, 190)
    p.line([(-0.1, 0.26), (0.06, -0.06), (0.32, -0.08), (0.44, 0.22)], w, CLOTH, 200)
    p.line([(-0.86, 0.12), (-0.84, -0.3)], w, CLOTH, 170)
    p.line([(-0.85, -0.28), (-0.5, -0.36), (-0.2, -0.26), (-0.12, 0.22)], w * 0.9, CLOTH, 195)
    p.disc(-0.34, -0.33, 0.07, METAL, 230)


def flip_flops(p, r, a):
    """Two soles from above, each with a Y-shaped strap."""
    for s, turn in ((1, r(0.0, 0.08)), (-1, r(0.0, 0.08))):
        x = s * r(0.36, 0.42)

        def at(points, s=s, x=x, turn=turn):
            return [(x + s * q[0] - turn * s * q[1], *q[1:]) for q in points]

        p.fill(at([(-0.02, -0.86), (0.22, -0.76), (0.3, -0.42), (0.22, 0.1), (0.24, 0.5), (0.1, 0.84), (-0.12, 0.84), (-0.24, 0.5), (-0.22, 0.0), (-0.28, -0.5),
                    (-0.2, -0.78)]), RUBBER, 120)  # fmt: skip
        p.fill(at([(-0.02, -0.82), (0.19, -0.72), (0.26, -0.42), (0.18, 0.1), (0.2, 0.5), (0.08, 0.79), (-0.1, 0.79), (-0.2, 0.5), (-0.18, 0.0), (-0.24, -0.5),
                    (-0.17, -0.74)]), CLOTH, 150)  # fmt: skip
        for side in (0.22, -0.2):
            p.line(at([(-0.03, -0.5), (side * 0.75, -0.26), (side, 0.08)]), 0.085, SECOND, 220)
        p.disc(at([(-0.03, -0.5)])[0][0], -0.52, 0.05, SECOND, 235)


def flat(p, r, a):
    """A ballerina shoe: low, open, with a bow."""
    p.fill([(-0.8, -0.04, 1), (-0.3, 0.02), (0.36, 0.02), (0.2, 0.24), (-0.7, 0.24)], INSIDE, 70)
    p.fill(
        [
            (-0.84, -0.1, 1),
            (-0.5, 0.12),
            (0.0, 0.16),
            (0.3, 0.0, 1),
            (0.7, 0.06),
            (0.95, 0.24),
            (0.9, 0.32, 1),
            (-0.84, 0.32, 1),
            (-0.88, 0.1),
        ]
    )
    p.line([(-0.86, 0.33), (0.92, 0.33)], 0.05, INK, 150)
    p.fill([(0.34, 0.02), (0.2, -0.1), (0.2, 0.08)], SECOND, 220)
    p.fill([(0.34, 0.02), (0.48, -0.04), (0.46, 0.12)], SECOND, 220)


def handbag(p, r, a):
    """A structured bag with one or two arched handles and a clasp."""
    w, low, h = r(0.62, 0.78), r(0.6, 0.74), r(-0.9, -0.7)
    for y in (0.06, 0.0):
        p.line(
            [(-w * 0.48, -0.1), (-w * 0.42, h + 0.25 - y), (0, h - y), (w * 0.42, h + 0.25 - y), (w * 0.48, -0.1)],
            0.07,
            SHADE if y else LEATHER,
            185,
        )
    p.fill(
        mirrored([(0, -0.2), (w * 0.86, -0.16, 1), (w, low - 0.12), (w - 0.08, low, 1), (0, low + 0.02)]), CLOTH, 150
    )
    p.seam(mirrored([(w * 0.78, -0.1), (w * 0.9, low - 0.1)]), 0.018, 100)
    if a["flap"]:
        p.fill(mirrored([(0, -0.22), (w * 0.88, -0.18, 1), (w * 0.88, 0.08), (0.3, 0.26), (0, 0.28)]), SHADE, 200)
        p.fill([(-0.08, 0.18, 1), (0.08, 0.18, 1), (0.08, 0.34, 1), (-0.08, 0.34, 1)], METAL, 235)
    else:
        p.line([(-w * 0.84, -0.13), (0, -0.16), (w * 0.84, -0.13)], 0.05, LEATHER, 190)
        p.disc(0, -0.02, 0.06, METAL, 230)
    for s in (1, -1):
        p.disc(s * w * 0.48, -0.08, 0.045, METAL, 235)
    p.seam([(-w + 0.1, low - 0.06), (0, low - 0.04), (w - 0.1, low - 0.06)], 0.02, 95)


def backpack(p, r, a):
    w, h = r(0.5, 0.58), r(0.8, 0.9)
    both(p.line, [(w * 0.5, -h + 0.06), (w + 0.16, -0.3), (w + 0.12, 0.4), (w - 0.1, h - 0.1)], 0.11, SHADE, 120)
    p.line([(-0.14, -h + 0.04), (-0.1, -h - 0.1), (0.1, -h - 0.1), (0.14, -h + 0.04)], 0.06, SHADE, 160)
    both(p.fill, [(w - 0.04, 0.1, 1), (w + 0.12, 0.18), (w + 0.12, h - 0.2), (w - 0.04, h - 0.08, 1)], SHADE, 135)
    p.fill(
        mirrored(
            [(0, -h), (0.3, -h + 0.03), (w - 0.04, -h + 0.24), (w, 0.1), (w, h - 0.12), (w - 0.1, h), (0, h + 0.01)]
        ),
        CLOTH,
        150,
    )
    p.line(
        [(-w + 0.05, -0.1), (-w + 0.1, -0.46), (-0.22, -0.74), (0.22, -0.74), (w - 0.1, -0.46), (w - 0.05, -0.1)],
        0.03,
        INK,
        120,
    )
    p.fill(
        mirrored([(0, 0.08), (w - 0.14, 0.1, 1), (w - 0.1, h - 0.2), (w - 0.18, h - 0.1), (0, h - 0.08)]),
        SECOND if a["trim"] else CLOTH,
        195,
    )
    p.line([(-w + 0.18, 0.22), (0, 0.2), (w - 0.18, 0.22)], 0.035, INK, 140)
    p.line([(0.2, 0.22), (0.22, 0.36)], 0.03, METAL, 220)
    p.fill([(-0.1, -0.4, 1), (0.1, -0.4, 1), (0.1, -0.26, 1), (-0.1, -0.26, 1)], LEATHER, 190)


def clutch(p, r, a):
    """A flat envelope bag with a pointed flap; sometimes a wrist loop."""
    w, h = r(0.82, 0.94), r(0.46, 0.56)
    if a["strap"]:
        p.line(
            [(w - 0.04, -h + 0.12), (w + 0.12, 0.1), (w + 0.02, 0.5), (w - 0.1, 0.2), (w - 0.04, -h + 0.12)],
            0.05,
            SHADE,
            150,
        )
    p.fill(mirrored([(0, -h), (w - 0.03, -h, 1), (w, 0.0), (w - 0.03, h, 1), (0, h + 0.015)]), CLOTH, 150)
    p.fill(
        mirrored([(0, -h - 0.01), (w, -h - 0.01, 1), (w - 0.02, -h + 0.12), (0.1, 0.16), (0, 0.19)]),
        SHADE if a["trim"] else CLOTH,
        205,
    )
    p.seam([(-w + 0.05, -h + 0.1), (0, 0.12), (w - 0.05, -h + 0.1)], 0.014, 150)
    p.disc(0, 0.1, 0.065, METAL, 240)


def trolley(p, r, a):
    both(p.line, [(0.16, -0.4), (0.16, -0.96)], 0.045, METAL, 160)
    p.line([(-0.2, -0.95), (0.2, -0.95)], 0.09, INK, 190)
    for x in (-0.34, 0.34):
        p.disc(x, 0.9, 0.08, INK, 190)
    p.fill(mirrored([(0, -0.56), (0.42, -0.55), (0.5, -0.46), (0.5, 0.74), (0.44, 0.84), (0, 0.85)]), CLOTH, 150)
    for x in (-0.32, -0.16, 0, 0.16, 0.32):
        p.seam([(x, -0.46), (x, 0.74)], 0.05, 205)
    p.line([(-0.49, 0.14), (0.49, 0.14)], 0.03, INK, 130)
    p.line([(-0.12, -0.55), (0, -0.64), (0.12, -0.55)], 0.05, INK, 190)


def watch(p, r, a):
    """A wristwatch: strap, case, dial with hands."""
    strap = METAL if a["metal"] else CLOTH
    p.fill(mirrored([(0, -0.98), (0.15, -0.97), (0.2, -0.36), (0, -0.3)]), strap, 150)
    p.fill(mirrored([(0, 0.3), (0.2, 0.36), (0.15, 0.94), (0.06, 1.0), (0, 1.0)]), strap, 150)
    for i in range(8):
        y = 0.42 + 0.07 * i
        if a["metal"]:
            p.seam([(-0.2, y), (0.2, y)], 0.024, 70)
            p.seam([(-0.2, -y), (0.2, -y)], 0.024, 70)
        elif i > 2:
            p.disc(0, y, 0.022, INK, 60)
    if not a["metal"]:
        p.line([(-0.19, -0.92), (0.19, -0.92)], 0.07, METAL, 220)
    p.fill([(0.34, -0.06, 1), (0.47, -0.05, 1), (0.47, 0.05, 1), (0.34, 0.06, 1)], METAL, 180)
    square = a["square"]
    rim = (
        [(0.36, -0.38), (0.4, 0), (0.36, 0.38), (0, 0.42), (-0.36, 0.38), (-0.4, 0), (-0.36, -0.38), (0, -0.42)]
        if square
        else oval(0, 0, 0.4)
    )
    p.fill(rim, METAL, 210)
    p.fill([(x * 0.8, y * 0.8) for x, y in rim], SECOND if a["trim"] else WHITE, 150)
    hands = INK if not a["trim"] else WHITE
    for i in range(12):
        c, s = math.cos(math.pi * i / 6), math.sin(math.pi * i / 6)
        p.line([(0.22 * c, 0.22 * s), (0.28 * c, 0.28 * s)], 0.03, hands, 150)
    t = r(0, 6.28)
    p.line([(0, 0), (0.2 * math.cos(t), 0.2 * math.sin(t))], 0.036, hands, 150)
    p.line([(0, 0), (0.14 * math.cos(t * 5), 0.14 * math.sin(t * 5))], 0.05, hands, 150)


def sunglasses(p, r, a):
    rx, ry, gap = r(0.34, 0.4), r(0.24, 0.36), r(0.46, 0.5)
    both(p.line, [(gap + rx - 0.04, -0.12), (0.94, -0.3), (0.82, -0.58), (0.62, -0.62)], 0.05, CLOTH, 120)
    p.line([(-gap + rx * 0.7, -0.08), (0, -0.16), (gap - rx * 0.7, -0.08)], 0.06, CLOTH, 190)
    for s in (1, -1):
        lens = [
            (gap - rx, -0.1),
            (gap - rx * 0.5, -ry),
            (gap + rx * 0.6, -ry * 1.05),
            (gap + rx, -0.14),
            (gap + rx * 0.55, ry),
            (gap - rx * 0.3, ry),
        ]
        if a["square"]:
            lens = [
                (gap - rx, -ry, 1),
                (gap + rx, -ry * 1.12, 1),
                (gap + rx * 0.9, ry * 0.5),
                (gap + rx * 0.5, ry),
                (gap - rx * 0.6, ry),
                (gap - rx * 0.95, ry * 0.4),
            ]
        p.fill([(s * q[0], *q[1:]) for q in lens], CLOTH, 210)
        p.fill([(s * (gap + (q[0] - gap) * 0.82), q[1] * 0.8, *q[2:]) for q in lens], GLASS, 110)
        p.line([(s * gap - 0.16, 0.08), (s * gap + 0.02, -0.14)], 0.05, PALE, 110)


def cap(p, r, a):
    """A baseball cap from the side, peak to the right."""
    p.fill(
        [
            (-0.74, 0.26, 1),
            (-0.76, -0.1),
            (-0.5, -0.5),
            (-0.06, -0.62),
            (0.34, -0.44),
            (0.48, -0.1),
            (0.46, 0.2, 1),
            (-0.1, 0.3),
        ],
        CLOTH,
        150,
    )
    p.seam([(-0.08, -0.6), (-0.2, -0.2), (-0.16, 0.28)], 0.022, 80)
    p.seam([(-0.08, -0.6), (0.22, -0.3), (0.3, 0.2)], 0.022, 85)
    p.disc(-0.08, -0.62, 0.05, SHADE, 215)
    p.fill(
        [
            (0.2, 0.12, 1),
            (0.5, 0.04),
            (0.84, 0.14),
            (0.99, 0.34),
            (0.7, 0.36),
            (0.4, 0.3),
            (0.1, 0.32),
            (-0.04, 0.3, 1),
        ],
        SECOND if a["trim"] else SHADE,
        200,
    )
    p.seam([(0.24, 0.18), (0.6, 0.14), (0.92, 0.3)], 0.016, 120)
    p.disc(0.26, -0.14, 0.12, SECOND, 200)
    p.fill([(-0.76, 0.12, 1), (-0.6, 0.16, 1), (-0.6, 0.3, 1), (-0.75, 0.27, 1)], INK, 120)
    p.disc(-0.36, -0.32, 0.025, INK, 60)


def hat(p, r, a):
    """A brimmed hat with a band."""
    wide, tall = r(0.85, 0.98), r(0.42, 0.58)
    p.fill(oval(0, 0.24, wide, r(0.2, 0.26), 12), SHADE, 130)
    p.fill([(-0.5, 0.2, 1), (-0.46, -0.1), (-0.4, -tall), (-0.16, -tall - 0.1), (0, -tall - 0.02), (0.16, -tall - 0.1), (0.4, -tall), (0.46, -0.1), (0.5, 0.2, 1), (0, 0.32)],
           CLOTH, 185)  # fmt: skip
    p.fill(
        [(-0.5, 0.04, 1), (0, 0.14), (0.5, 0.04, 1), (0.52, 0.2, 1), (0, 0.32), (-0.52, 0.2, 1)],
        SECOND if a["trim"] else INK,
        200,
    )
    p.fill(
        [(-wide, 0.24), (-0.5, 0.2), (0, 0.33), (0.5, 0.2), (wide, 0.24), (0.6, 0.44), (0, 0.52), (-0.6, 0.44)],
        CLOTH,
        160,
    )
    p.seam([(0, -tall), (0.02, -tall + 0.24)], 0.05, 110)


def belt(p, r, a):
    """A belt in a loose roll, with buckle and holes."""
    w = r(0.13, 0.18)
    p.line([(-0.6, 0.3), (-0.78, 0.02), (-0.4, -0.34), (0.3, -0.36), (0.76, -0.04), (0.6, 0.26)], w, SHADE, 110)
    p.line([(-0.64, 0.3), (-0.3, 0.46), (0.26, 0.46), (0.62, 0.28), (0.8, 0.0), (0.72, -0.1)], w, CLOTH, 160)
    p.line([(-0.6, 0.32), (-0.9, 0.04), (-0.86, -0.1)], w, CLOTH, 150)
    for x in (0.12, 0.26, 0.4):
        p.disc(x, 0.46 - 0.3 * (x - 0.1) ** 2, 0.022, INK, 60)
    b = w * 0.95
    p.fill([(-0.44, 0.38 - b, 1), (-0.12, 0.42 - b, 1), (-0.12, 0.5 + b, 1), (-0.44, 0.46 + b, 1)], METAL, 230)
    p.fill([(-0.38, 0.44 - b, 1), (-0.18, 0.47 - b, 1), (-0.18, 0.44 + b, 1), (-0.38, 0.41 + b, 1)], CLOTH, 130)
    p.line([(-0.42, 0.42), (-0.14, 0.46)], 0.04, METAL, 235)


def tie(p, r, a):
    w = r(0.17, 0.23)
    p.fill([(-0.02, -0.72, 1), (0.1, -0.7, 1), (0.2, 0.5, 1), (0.12, 0.64, 1), (0.02, 0.5, 1)], SHADE, 110)
    p.fill([(-0.1, -0.72, 1), (0.1, -0.72, 1), (w, 0.7, 1), (0.0, 0.96, 1), (-w, 0.7, 1)], CLOTH, 150)
    p.fill([(-0.15, -0.96, 1), (0.15, -0.96, 1), (0.09, -0.7), (-0.09, -0.7)], CLOTH, 200)
    p.line([(-0.12, -0.93), (-0.3, -0.98), (0.0, -1.02), (0.3, -0.98), (0.12, -0.93)], 0.07, SHADE, 120)
    p.seam([(0, -0.66), (0.02, -0.4)], 0.05, 110)


def socks(p, r, a):
    for x, y, s in ((-0.24, -0.06, 0.94), (0.24, 0.06, 1.0)):
        p.at(x, y, s)
        h = a["tall"]
        p.fill(
            [
                (-0.36, h, 1),
                (0.04, h, 1),
                (0.03, 0.3),
                (0.14, 0.46),
                (0.42, 0.58),
                (0.5, 0.74),
                (0.36, 0.86),
                (-0.02, 0.76),
                (-0.3, 0.56),
                (-0.38, 0.3),
            ],
            CLOTH,
            150,
        )
        p.fill(
            [(-0.37, h - 0.02, 1), (0.05, h - 0.02, 1), (0.05, h + 0.16, 1), (-0.37, h + 0.16, 1)],
            SECOND if a["trim"] else SHADE,
            180,
        )
        p.fill(
            [(0.26, 0.5, 1), (0.44, 0.6), (0.5, 0.74), (0.36, 0.86), (0.18, 0.82, 1)],
            SECOND if a["trim"] else SHADE,
            160,
        )
        p.fill([(-0.37, 0.3, 1), (-0.16, 0.42), (-0.2, 0.62, 1), (-0.32, 0.54)], SECOND if a["trim"] else SHADE, 160)
        for k in (-0.28, -0.16, -0.04):
            p.seam([(k, h), (k, h + 0.14)], 0.02, 110)
    p.at()


def scarf(p, r, a):
    """A scarf looped once, both ends hanging with fringes."""
    for s, low, x in ((-1, r(0.6, 0.74), r(0.16, 0.26)), (1, r(0.7, 0.86), r(0.1, 0.2))):
        for i in range(6):
            fx = s * x - 0.17 + i * 0.068
            p.line([(fx, low - 0.02), (fx + r(-0.02, 0.02), low + 0.14)], 0.03, PLAIN, 150)
        p.fill(
            [
                (s * x * 0.4 - 0.15, -0.3, 1),
                (s * x * 0.4 + 0.15, -0.3, 1),
                (s * x + 0.2, low, 1),
                (s * x - 0.2, low, 1),
            ],
            CLOTH,
            140 if s < 0 else 165,
        )
        p.seam([(s * x * 0.5, -0.2), (s * x + 0.04, low - 0.06)], 0.05, 112)
    p.fill(mirrored([(0, -0.86), (0.36, -0.78), (0.5, -0.5), (0.3, -0.24), (0, -0.16)]), CLOTH, 150)
    p.fill(mirrored([(0, -0.72), (0.24, -0.68), (0.28, -0.56), (0, -0.46)]), OPEN)
    p.seam([(-0.4, -0.5), (-0.1, -0.34), (0.3, -0.36)], 0.05, 105)
    p.seam([(-0.3, -0.42), (0.0, -0.26), (0.34, -0.3)], 0.04, 205)


def gloves(p, r, a):
    for s in (-1, 1):
        x = s * 0.42
        for i, (dx, tip) in enumerate(((-0.2, -0.62), (-0.07, -0.8), (0.07, -0.76), (0.2, -0.56))):
            p.line([(x + s * dx * 0.9, 0.1), (x + s * dx * 1.25, tip)], 0.14, CLOTH, 150 + 6 * i)
            p.disc(x + s * dx * 1.25, tip, 0.07, CLOTH, 150 + 6 * i)
        p.line([(x - s * 0.2, 0.3), (x - s * 0.36, 0.02), (x - s * 0.38, -0.1)], 0.14, CLOTH, 165)
        p.fill([(x - 0.25, -0.02), (x + 0.25, -0.02), (x + 0.24, 0.5, 1), (x - 0.24, 0.5, 1)], CLOTH, 155)
        p.fill([(x - 0.24, 0.46, 1), (x + 0.24, 0.46, 1), (x + 0.27, 0.8, 1), (x - 0.27, 0.8, 1)], SHADE, 185)


def umbrella(p, r, a):
    p.line([(0, -0.5), (0, 0.72), (0.06, 0.88), (0.18, 0.88), (0.22, 0.74)], 0.05, LEATHER, 150)
    rim = [(x, y + 0.04, 1) for x, y in ((0.96, 0.04), (0.48, 0.0), (0, 0.04), (-0.48, 0.0), (-0.96, 0.04))]
    scallop = [rim[0], (0.72, -0.08), rim[1], (0.24, -0.08), rim[2], (-0.24, -0.08), rim[3], (-0.72, -0.08), rim[4]]
    p.fill([*scallop, (-0.8, -0.4), (-0.4, -0.74), (0, -0.84), (0.4, -0.74), (0.8, -0.4)], CLOTH, 150)
    for x, *_ in rim[1:4]:
        p.seam([(0, -0.82), (x * 0.75, -0.4), (x, 0.0)], 0.03, 85)
    p.line([(0, -0.8), (0, -0.96)], 0.04, METAL, 180)


# ----------------------------------------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Type:
    """A product type: its place in the tree, how it is drawn, and what it may look like."""

    name: str
    category: str
    subcategory: str
    draw: object
    nouns: tuple  # for captions; a noun that starts with "pair of" is a plural
    slot: str  # where an outfit has it: torso, legs, feet, whole, head, face, neck, hand, or small
    finishes: tuple = ("cotton",)
    patterns: tuple = ()
    genders: tuple = ("Men", "Women", "Unisex")
    seasons: tuple = ("Summer", "Fall", "Winter", "Spring")
    usages: tuple = ("Casual",)
    sleeves: tuple = ("",)
    necklines: tuple = ("",)
    turn: float = 18.0  # degrees either way
    zoom: float = 1.0
    unseen: bool = False


ANY = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage")
PLAINISH = ("Solid", "Solid", "Striped", "Checked", "Colour Blocked")
WOMEN = ("Women", "Women", "Girls")
_T = Type
TYPES = {
    t.name: t
    for t in (
        _T("Tshirts", "Apparel", "Topwear", tshirt, ("T-shirt", "tee"), "torso", ("cotton",), (*ANY, "Colour Blocked", "Printed", "Printed"), usages=("Casual", "Sports"),
           sleeves=("Short Sleeves",), necklines=("Crew Neck", "V-Neck", "Scoop Neck", "Polo Collar")),
        _T("Shirts", "Apparel", "Topwear", shirt, ("shirt", "button-down shirt"), "torso", ("cotton",), ("Solid", "Striped", "Checked", "Dotted", "Floral"),
           usages=("Casual", "Formal"), sleeves=("Long Sleeves", "Long Sleeves", "Short Sleeves"), necklines=("Shirt Collar",)),
        _T("Tops", "Apparel", "Topwear", top, ("top", "camisole"), "torso", ("cotton", "shiny"), ANY, WOMEN, ("Summer", "Spring"), ("Casual", "Party"),
           ("Sleeveless",), ("Scoop Neck",), zoom=1.2),
        _T("Sweatshirts", "Apparel", "Topwear", sweatshirt, ("hoodie", "hooded sweatshirt"), "torso", ("cotton", "fleece"), (*PLAINISH, "Camouflage"),
           seasons=("Fall", "Winter"), usages=("Casual", "Sports"), sleeves=("Long Sleeves",), necklines=("Hooded",), zoom=0.95),
        _T("Sweaters", "Apparel", "Topwear", sweater, ("sweater", "jumper", "pullover"), "torso", ("knit",), ("Solid", "Striped", "Zigzag", "Dotted", "Colour Blocked"),
           seasons=("Fall", "Winter"), sleeves=("Long Sleeves",), necklines=("Turtleneck", "Crew Neck", "V-Neck"), zoom=0.95),
        _T("Jackets", "Apparel", "Topwear", jacket, ("jacket", "blazer-style jacket"), "torso", ("leather", "cotton", "denim"), ("Solid", "Solid", "Checked", "Striped", "Camouflage"),
           seasons=("Fall", "Winter"), usages=("Casual", "Formal"), sleeves=("Long Sleeves",), necklines=("Lapel Collar",), zoom=0.95),
        _T("Jeans", "Apparel", "Bottomwear", jeans, ("pair of jeans", "pair of denims"), "legs", ("denim",), ("Solid",)),
        _T("Trousers", "Apparel", "Bottomwear", trousers, ("pair of trousers", "pair of pants"), "legs", ("cotton",), ("Solid", "Solid", "Striped", "Checked"), usages=("Formal", "Casual")),
        _T("Shorts", "Apparel", "Bottomwear", shorts, ("pair of shorts",), "legs", ("cotton",), ANY, seasons=("Summer", "Spring"), usages=("Casual", "Sports"), zoom=1.15),
        _T("Skirts", "Apparel", "Bottomwear", skirt, ("skirt", "flared skirt"), "legs", ("cotton", "shiny"), ANY, WOMEN, usages=("Casual", "Party"), zoom=1.1),
        _T("Dresses", "Apparel", "Dress", dress, ("dress", "frock"), "whole", ("cotton", "shiny"), ANY, WOMEN, ("Summer", "Spring", "Fall"), ("Casual", "Party"),
           ("Sleeveless", "Short Sleeves", "Long Sleeves"), ("Scoop Neck",)),
        _T("Casual Shoes", "Footwear", "Shoes", shoe_pair(casual_shoe), ("pair of sneakers", "pair of trainers"), "feet", ("cotton", "leather"), ("Solid", "Solid", "Checked", "Dotted", "Camouflage"),
           usages=("Casual", "Sports"), turn=25),
        _T("Formal Shoes", "Footwear", "Shoes", shoe_pair(formal_shoe), ("pair of lace-up shoes", "pair of dress shoes"), "feet", ("leather", "patent"), ("Solid",), ("Men", "Women"),
           usages=("Formal",), turn=25),
        _T("Heels", "Footwear", "Shoes", shoe_pair(heel), ("pair of high heels", "pair of pumps"), "feet", ("patent", "leather"), ("Solid", "Solid", "Dotted", "Floral", "Striped"), WOMEN, usages=("Party", "Formal"), turn=25),
        _T("Boots", "Footwear", "Shoes", shoe_pair(boot), ("pair of boots",), "feet", ("leather",), ("Solid",), seasons=("Fall", "Winter"), turn=20),
        _T("Sandals", "Footwear", "Sandal", shoe_pair(sandal), ("pair of sandals", "pair of strappy sandals"), "feet", ("leather",), ("Solid", "Solid", "Striped"), seasons=("Summer", "Spring"), turn=25),
        _T("Flip Flops", "Footwear", "Flip Flops", flip_flops, ("pair of flip-flops", "pair of beach slippers"), "feet", ("rubber",), ANY, seasons=("Summer",), turn=60),
        _T("Handbags", "Accessories", "Bags", handbag, ("handbag", "bag with handles"), "hand", ("leather", "cotton"), (*PLAINISH, "Dotted", "Floral", "Zigzag"), WOMEN, usages=("Casual", "Party")),
        _T("Backpacks", "Accessories", "Bags", backpack, ("backpack", "rucksack"), "hand", ("cotton", "leather"), (*ANY, "Solid"), usages=("Casual", "Sports")),
        _T("Clutches", "Accessories", "Bags", clutch, ("clutch", "envelope bag"), "hand", ("leather", "shiny"), ANY, WOMEN, usages=("Party", "Casual"), turn=30),
        _T("Watches", "Accessories", "Watches", watch, ("watch", "wristwatch"), "small", ("leather",), ("Solid", "Solid", "Striped"), usages=("Casual", "Formal"), turn=70),
        _T("Sunglasses", "Accessories", "Eyewear", sunglasses, ("pair of sunglasses", "pair of shades"), "face", ("patent",), ("Solid", "Solid", "Camouflage", "Dotted"), seasons=("Summer", "Spring"), turn=35),
        _T("Caps", "Accessories", "Headwear", cap, ("cap", "baseball cap"), "head", ("cotton",), PLAINISH + ("Camouflage", "Dotted"), seasons=("Summer", "Spring"), usages=("Casual", "Sports"), turn=25),
        _T("Hats", "Accessories", "Headwear", hat, ("hat", "brimmed hat"), "head", ("fleece", "cotton"), ("Solid", "Solid", "Checked", "Striped"), turn=25),
        _T("Belts", "Accessories", "Belts", belt, ("belt", "waist belt"), "small", ("leather",), ("Solid", "Solid", "Striped"), usages=("Formal", "Casual"), turn=60),
        _T("Ties", "Accessories", "Ties", tie, ("tie", "necktie"), "small", ("shiny",), ("Solid", "Striped", "Checked", "Dotted", "Zigzag"), ("Men",), usages=("Formal",), turn=50),
        _T("Socks", "Accessories", "Socks", socks, ("pair of socks",), "small", ("knit",), ("Solid", "Striped", "Dotted", "Zigzag", "Checked"), turn=35),
        _T("Scarves", "Accessories", "Scarves", scarf, ("scarf", "fringed scarf"), "neck", ("knit", "cotton"), ("Solid", "Striped", "Checked", "Dotted", "Floral"), seasons=("Fall", "Winter"), turn=25),
        _T("Waistcoat", "Apparel", "Topwear", waistcoat, ("waistcoat", "vest"), "torso", ("cotton",), ("Solid", "Striped", "Checked"), ("Men",), usages=("Formal",),
           sleeves=("Sleeveless",), necklines=("V-Neck",), zoom=1.15, unseen=True),
        _T("Jumpsuit", "Apparel", "Dress", jumpsuit, ("jumpsuit", "one-piece suit"), "whole", ("cotton",), ANY, WOMEN, sleeves=("Sleeveless",), necklines=("Scoop Neck",), unseen=True),
        _T("Flats", "Footwear", "Shoes", shoe_pair(flat), ("pair of ballerinas", "pair of flats"), "feet", ("leather",), ("Solid", "Dotted", "Floral"), WOMEN, turn=25, unseen=True),
        _T("Trolley Bag", "Accessories", "Bags", trolley, ("trolley bag", "wheeled suitcase"), "hand", ("patent", "rubber"), ("Solid", "Striped", "Dotted"), usages=("Travel",), unseen=True),
        _T("Gloves", "Accessories", "Gloves", gloves, ("pair of gloves",), "small", ("knit", "leather"), ("Solid", "Striped", "Zigzag"), seasons=("Winter", "Fall"), turn=40, unseen=True),
        _T("Umbrellas", "Accessories", "Umbrellas", umbrella, ("umbrella", "rain umbrella"), "head", ("shiny",), ANY, seasons=("Fall", "Spring"), turn=30, unseen=True),
    )
}  # fmt: skip
SEEN = [t.name for t in TYPES.values() if not t.unseen]
UNSEEN = [t.name for t in TYPES.values() if t.unseen]
MASK_VALUE = {name: value for value, name in enumerate(TYPES, start=1)}  # 0 is the background

COLOURS = {  # the fashion data set's names: sRGB, and words that a caption may use
    "Black": ((38, 38, 42), ("black",)), "White": ((236, 235, 230), ("white", "off-white")), "Grey": ((136, 139, 143), ("grey",)),
    "Navy Blue": ((34, 46, 92), ("navy blue", "navy", "dark blue")), "Blue": ((52, 108, 190), ("blue",)),
    "Turquoise Blue": ((42, 164, 172), ("turquoise", "teal")), "Green": ((52, 136, 72), ("green",)), "Olive": ((112, 116, 58), ("olive", "olive green")),
    "Yellow": ((234, 196, 58), ("yellow",)), "Orange": ((230, 126, 44), ("orange",)), "Red": ((200, 40, 46), ("red", "bright red")),
    "Maroon": ((112, 30, 48), ("maroon", "dark red")), "Pink": ((232, 138, 172), ("pink",)), "Purple": ((118, 74, 152), ("purple",)),
    "Brown": ((116, 76, 48), ("brown",)), "Beige": ((214, 192, 156), ("beige", "sand-coloured")),
}  # fmt: skip
DENIM = ("Blue", "Blue", "Navy Blue", "Black", "Grey", "White", "Olive", "Maroon")
PATTERNS = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Colour Blocked", "Printed")
FINISHES = {  # gloss, grain (how much the surface varies), kind of grain
    "cotton": (0.0, 10, "weave"), "denim": (0.0, 26, "twill"), "knit": (0.0, 26, "rib"), "fleece": (0.0, 18, "weave"), "leather": (0.45, 10, "weave"),
    "shiny": (0.35, 4, "weave"), "patent": (0.8, 3, "weave"), "rubber": (0.15, 4, "weave"),
}  # fmt: skip
BACKGROUNDS = ("Plain", "Gradient", "Wood", "Tiles", "Fabric", "Shapes", "Shelf", "Bokeh", "Marble")
_BACKGROUND_SHARES = (0.26, 0.14, 0.1, 0.1, 0.08, 0.08, 0.08, 0.08, 0.08)

# --------------------------------------------------------------------------------------------------------------- plans


@dataclass
class Look:
    """One product of an image: its attributes and what shapes it."""

    type: str
    gender: str
    colour: str
    season: str
    usage: str
    pattern: str
    sleeve: str
    neckline: str
    finish: str
    second: str
    a: dict = field(default_factory=dict)  # the details that the drawing function reads


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


_DETAILS = ("trim", "pocket", "frill", "zip", "cable", "strap", "flap", "metal", "square", "faded")


def _look(rng, type_name, gender=None):
    t = TYPES[type_name]
    finish = _pick(rng, t.finishes)
    colour = _pick(rng, DENIM if finish == "denim" else list(COLOURS))
    dark = sum(COLOURS[colour][0]) < 330
    second = _pick(rng, [c for c, (rgb, _) in COLOURS.items() if abs(sum(rgb) - sum(COLOURS[colour][0])) > 130])
    look = Look(type_name, _pick(rng, t.genders), colour, _pick(rng, t.seasons), _pick(rng, t.usages), _pick(rng, t.patterns),
                _pick(rng, t.sleeves), _pick(rng, t.necklines), finish, second)  # fmt: skip
    if gender in t.genders or (gender and t.genders == WOMEN and gender == "Women"):
        look.gender = gender
    look.a = {name: bool(rng.random() < 0.5) for name in _DETAILS}
    look.a |= {
        "dark": dark,
        "layout": int(rng.integers(3)),
        "tall": -0.2 - 0.6 * float(rng.random()),
        "sleeve": look.sleeve,
        "neckline": look.neckline,
    }
    look.a |= {
        "frequency": 0.75 + 0.75 * float(rng.random()),
        "lay": int(rng.integers(4)),
        "duty": 0.3 + 0.35 * float(rng.random()),
        "phase": float(rng.random()),
    }
    return look


_LAID = {  # where the products of a flat-lay lie: x, y, unit, all in image widths
    2: ((0.29, 0.48, 0.27), (0.73, 0.53, 0.24)),
    3: ((0.29, 0.34, 0.26), (0.74, 0.28, 0.2), (0.62, 0.74, 0.22)),
    4: ((0.27, 0.3, 0.23), (0.74, 0.27, 0.2), (0.27, 0.76, 0.18), (0.73, 0.73, 0.22)),
    5: ((0.25, 0.28, 0.21), (0.66, 0.24, 0.17), (0.2, 0.76, 0.16), (0.55, 0.7, 0.18), (0.84, 0.62, 0.14)),
}
_WORN = {"legs": (0.5, 0.655, 0.24), "torso": (0.5, 0.36, 0.225), "whole": (0.5, 0.48, 0.31), "feet": (0.5, 0.92, 0.085), "neck": (0.5, 0.29, 0.13),
         "face": (0.5, 0.115, 0.085), "head": (0.5, 0.07, 0.11), "hand": (0.8, 0.62, 0.14)}  # fmt: skip
_OVER = ("legs", "feet", "whole", "torso", "neck", "face", "head", "hand", "small")  # what is worn over what


@dataclass
class Plan:
    """All that an image shows: products from the lowest to the topmost, how they lie, and the scene."""

    looks: list
    kind: str
    worn: bool
    background: str


def _plan(rng, type_name, kind):
    background = BACKGROUNDS[int(rng.choice(len(BACKGROUNDS), p=_BACKGROUND_SHARES))]
    first = _look(rng, type_name)
    if kind == "single":
        return Plan([first], kind, False, background)
    pool = UNSEEN if TYPES[type_name].unseen else SEEN
    wanted = 2 + int(rng.choice(4, p=(0.3, 0.35, 0.2, 0.15)))
    worn = bool(rng.random() < 0.5) and TYPES[type_name].slot != "small" and pool is SEEN
    looks, taken = [first], {TYPES[type_name].slot}
    gender = first.gender if first.gender in ("Men", "Women") else _pick(rng, ("Men", "Women"))
    for candidate in rng.permutation(len(pool)):
        t = TYPES[pool[candidate]]
        clash = t.slot in taken or {t.slot, *taken} >= {"whole", "legs"} or {t.slot, *taken} >= {"whole", "torso"}
        if len(looks) == wanted:
            break
        fits = gender in t.genders or "Unisex" in t.genders
        if (
            t.name == type_name
            or not fits
            or (clash and t.slot != "small")
            or (worn and t.slot == "small")
            or t.name in [x.type for x in looks]
        ):
            continue
        looks.append(_look(rng, t.name, gender))
        taken.add(t.slot)
    if worn:
        looks.sort(key=lambda x: _OVER.index(TYPES[x.type].slot))
    return Plan(looks, kind, worn, background)


# ------------------------------------------------------------------------------------------------------------- painting


def _frac(x):
    return x - np.floor(x)


def _zigzag(x):
    """Between 0 and 1 and back, once in a unit of x."""
    return np.abs(2 * _frac(x) - 1)


def _cell_noise(i, j, salt):
    """A number in 0..1 for every cell (i, j), by integer hashing."""
    h = (i.astype(np.int64) * 73856093) ^ (j.astype(np.int64) * 19349663) ^ (salt * 83492791)
    h = (h ^ (h >> 13)) * 1274126177 & 0x7FFFFFFF
    return ((h >> 8) & 1023).astype(np.float32) / np.float32(1023)


def pattern_map(pattern, u, v, frequency=1.0, lay=0, duty=0.5, phase=0.0):
    """Which colour (0 base, 1 second, 2 between) a pattern has at u, v: uint8 of their shape. `lay` turns it, `duty` is the share.

    >>> pattern_map("Striped", np.zeros(4), np.array([0.0, 0.05, 0.1, 0.15]), frequency=1.25).tolist()
    [1, 0, 1, 0]
    """
    u, v = np.asarray(u, dtype=np.float32), np.asarray(v, dtype=np.float32)
    f, phase = np.float32(frequency), np.float32(phase)
    if pattern == "Solid":
        return np.zeros(u.shape, np.uint8)
    if pattern == "Striped":
        across = (v, v, u, (u + v) * np.float32(0.7))[lay]
        return (_frac(across * f * 8 + phase) < duty).astype(np.uint8)
    if pattern == "Checked":
        x, y = (u + v, u - v) if lay == 3 else (u, v)
        a, b = _frac(x * f * 5 + phase) < duty, _frac(y * f * 5 + phase) < duty
        return np.where(a & b, 1, np.where(a | b, 2, 0)).astype(np.uint8)
    if pattern == "Dotted":
        y = v * f * 6 + phase
        x = u * f * 6 + np.floor(y) * np.float32(0.5)
        return ((_frac(x) - 0.5) ** 2 + (_frac(y) - 0.5) ** 2 < 0.04 + 0.14 * (duty - 0.3)).astype(np.uint8)
    if pattern == "Zigzag":
        return (_frac(v * f * 6 + phase + np.float32(0.9) * _zigzag(u * f * 4)) < 0.5).astype(np.uint8)
    if pattern == "Colour Blocked":
        edge = (v + 0.12, v - 0.1, u, u + v)[lay]
        return (edge > (phase - 0.5) * np.float32(0.3)).astype(np.uint8)
    if pattern == "Floral":
        x, y = u * f * 4 + phase, v * f * 4
        i, j = np.floor(x), np.floor(y)
        x = x - i - (np.float32(0.35) + np.float32(0.3) * _cell_noise(i, j, 1))
        y = y - j - (np.float32(0.35) + np.float32(0.3) * _cell_noise(i, j, 2))
        out = np.zeros(u.shape, np.uint8)
        for px, py in ((0.0, -0.2), (0.19, -0.06), (0.12, 0.16), (-0.12, 0.16), (-0.19, -0.06)):
            out[(x - np.float32(px)) ** 2 + (y - np.float32(py)) ** 2 < 0.02] = 1
        out[x * x + y * y < 0.011] = 2
        return out
    if pattern == "Camouflage":
        x, y = u * f * 3 + phase * 7, v * f * 3
        field_ = np.zeros(u.shape, np.float32)
        for octave, weight in ((1, 1.0), (2, 0.5)):
            i, j = np.floor(x * octave), np.floor(y * octave)
            s, t = x * octave - i, y * octave - j
            s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
            top_ = _cell_noise(i, j, octave) * (1 - s) + _cell_noise(i + 1, j, octave) * s
            low_ = _cell_noise(i, j + 1, octave) * (1 - s) + _cell_noise(i + 1, j + 1, octave) * s
            field_ += np.float32(weight) * (top_ * (1 - t) + low_ * t)
        return np.where(field_ > 0.92, 1, np.where(field_ < 0.6, 2, 0)).astype(np.uint8)
    if pattern == "Printed":
        x, y = u, v + np.float32(0.12)
        square = x * x + y * y
        if lay == 0:
            return np.where(square < 0.012, 2, np.where((square < 0.05), 1, 0)).astype(np.uint8)
        if lay == 1:
            return ((np.abs(x) < 0.24) & (np.abs(y) < 0.16) & (_frac(y * 12) < 0.55)).astype(np.uint8)
        if lay == 2:
            return (np.abs(x) + np.abs(y) < 0.24).astype(np.uint8) + (np.abs(x) + np.abs(y) < 0.13)
        return ((square < 0.06) & ((x - np.float32(0.1)) ** 2 + (y + np.float32(0.06)) ** 2 > 0.035)).astype(np.uint8)
    raise ValueError(f"unknown pattern {pattern!r}; known: {', '.join(PATTERNS)}")


@dataclass
class Light:
    """Where light comes from (a unit vector in the image), how much, and how warm."""

    x: float
    y: float
    gain: float
    warmth: float
    slope: float


def _shaded(rgb, factor):
    return tuple(int(min(255, max(0, round(c * factor)))) for c in rgb)


def _palette(rng, look):
    """RGB of every material, and of the pattern's three colours."""
    base, second = (
        tuple(int(np.clip(c + rng.integers(-16, 17), 0, 255)) for c in COLOURS[x][0])
        for x in (look.colour, look.second)
    )
    metal = _pick(rng, ((196, 198, 204), (206, 170, 92), (120, 122, 128)))
    leather = _pick(rng, ((92, 58, 36), (44, 38, 36), (152, 106, 66)))
    rubber = _pick(rng, ((232, 230, 224), (60, 58, 58), (190, 150, 100), (236, 236, 236)))
    between = tuple((x + y) // 2 for x, y in zip(base, second, strict=True))
    light = _shaded(base, 1.0)
    colours = {CLOTH: base, PLAIN: light, SHADE: _shaded(base, 0.74), INSIDE: _shaded(base, 0.45), SECOND: second, WHITE: (240, 239, 234), INK: (40, 38, 40),
               METAL: metal, RUBBER: rubber, LEATHER: leather, GLASS: _pick(rng, ((40, 44, 50), (64, 48, 40), (36, 58, 84))), THREAD: (206, 148, 72),
               PALE: tuple(min(255, c + 60) for c in base)}  # fmt: skip
    if look.colour == "Black":
        colours[SHADE] = (66, 66, 70)
    table = np.zeros((16, 3), np.uint8)
    for material, rgb in colours.items():
        table[material] = rgb
    return table, np.array([base, second, between if look.pattern != "Camouflage" else _shaded(base, 0.6)], np.uint8)


_GLOSSY = {METAL: 0.9, GLASS: 0.9, RUBBER: 0.1, LEATHER: 0.4}


def _shift(image, x, y):
    """`image` moved by x, y, rounded to whole pixels; edges repeated."""
    x, y = round(x), round(y)
    h, w = image.shape
    padded = np.pad(image, ((max(y, 0), max(-y, 0)), (max(x, 0), max(-x, 0))), mode="edge")
    return padded[max(-y, 0) :, max(-x, 0) :][:h, :w]


def _noise(rng, shape, cells):
    """Smooth noise, uint8, about `cells` blobs across."""
    grid = rng.integers(0, 256, (cells[1] + 1, cells[0] + 1), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _paint(canvas, owner, pen, look, light, rng, value, palette=None, shadow=0.4):
    """Lay what `pen` drew over `canvas` (uint8, changed in place), with its shadow; write `value` into `owner` where it is seen."""
    box = pen.material.getbbox()
    if box is None:
        return
    side = canvas.shape[0]
    pad = max(4, side // 16)
    box = (max(0, box[0] - pad), max(0, box[1] - pad), min(side, box[2] + pad), min(side, box[3] + pad))
    material_image, height_image = pen.material.crop(box), pen.height.crop(box)
    material = np.asarray(material_image)
    inside = material > 0
    here = canvas[box[1] : box[3], box[0] : box[2]]
    unit = pen.pose.unit
    gloss, grain, kind = FINISHES[look.finish]
    table, tones = _palette(rng, look) if palette is None else palette
    silhouette = Image.fromarray(inside.astype(np.uint8) * 255)
    broad = np.asarray(silhouette.filter(ImageFilter.GaussianBlur(max(2.0, unit * 0.07))))
    fine = np.asarray(height_image.filter(ImageFilter.GaussianBlur(max(1.0, unit * 0.014))))
    fall = side * 0.022
    cast = _shift(broad, -light.x * fall, -light.y * fall)[..., None]
    ground = here - (here.astype(np.uint16) * cast >> 8) * int(shadow * 256) // 256

    rows, columns = np.nonzero(inside)  # from here on, only pixels of the product: (n,)
    def rise(surface, reach):
        """How much the surface rises away from the light, over a distance of twice `reach` pixels."""
        x, y = light.x * reach, light.y * reach
        if round(x) == round(y) == 0:
            x = 1 if x > 0 else -1
        return (_shift(surface, x, y).astype(np.int16) - _shift(surface, -x, -y))[rows, columns].astype(np.float32)

    ridge, bulge = rise(fine, max(1.0, unit * 0.012)), rise(broad, unit * 0.06)
    drape = _noise(rng, material.shape, (4, 3))[rows, columns].astype(np.float32) - 128
    shade = 1 - ridge * np.float32(0.0042) - bulge * np.float32(0.0012) + drape * np.float32(0.0008)
    shade *= np.float32(0.72) + broad[rows, columns] * np.float32(0.29 / 255)
    made_of = material[rows, columns]
    colours = table[made_of]
    u = v = None
    if look.pattern != "Solid" or kind in ("rib", "twill"):
        u, v = pen.pose.own_coordinates(columns + np.float32(box[0]), rows + np.float32(box[1]))
    if look.pattern != "Solid":
        warp = (fine[rows, columns] - np.float32(150)) * np.float32(0.0006)  # folds carry the pattern along
        lie = {k: look.a[k] for k in ("frequency", "lay", "duty", "phase")}
        index = pattern_map(look.pattern, u + warp, v + warp, **lie)
        colours = np.where((made_of == CLOTH)[:, None], tones[index], colours)
    if grain:
        texture = rng.integers(-128, 128, made_of.shape, dtype=np.int16) * np.float32(1 / 128)
        if kind == "rib":
            rib = _zigzag(u * 16)
            texture = (2 * rib - 1) * (np.float32(0.6) + np.float32(0.4) * _zigzag(v * 22 + rib))
        elif kind == "twill":
            texture = texture * np.float32(0.5) + _zigzag((u + v) * 18) - np.float32(0.5)
        shade += texture * np.float32(grain / 255)
    glossy = np.full(16, gloss, np.float32)
    for m, g in _GLOSSY.items():
        glossy[m] = g
    shine = np.clip(-ridge - bulge * np.float32(0.3) - 14, 0, 60) * glossy[made_of] * np.float32(2.6)
    product = colours * shade[:, None] + shine[:, None]
    glass = made_of == GLASS
    if glass.any():
        product[glass] = product[glass] * np.float32(0.78) + ground[rows[glass], columns[glass]] * np.float32(0.22)
    here[...] = ground
    here[rows, columns] = np.rint(np.clip(product, 0, 255))
    owner[box[1] : box[3], box[0] : box[2]][inside] = value


# ----------------------------------------------------------------------------------------------------------- background


def _enlarged(image, side):
    """A background is drawn at half the size and enlarged: it lies a little out of focus."""
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _background(rng, kind, side):
    """uint8 (side, side, 3)."""
    tones = [COLOURS[_pick(rng, list(COLOURS))][0] for _ in range(4)]
    neutral = _pick(rng, ((238, 238, 236), (222, 218, 210), (200, 204, 208), (246, 244, 240), (176, 172, 168)))
    mixed = tuple((2 * n + t) // 3 for n, t in zip(neutral, tones[0], strict=True))
    ground = _pick(rng, (neutral, mixed, tones[0])) if kind != "Plain" else _pick(rng, (neutral, neutral, mixed))
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    if kind == "Gradient":
        ramp = np.arange(side, dtype=np.float32)[:, None] / np.float32(side)
        if rng.random() < 0.5:
            ramp = np.abs(ramp - np.float32(0.5)) + np.abs(ramp.T - np.float32(0.5))
        else:
            ramp = ramp + np.zeros((1, side), np.float32)
        a, b = np.array(ground, np.float32), np.array(_pick(rng, (tones[1], _shaded(ground, 0.6))), np.float32)
        return np.rint(a + (b - a) * np.clip(ramp, 0, 1)[..., None]).astype(np.uint8)
    if kind == "Wood":
        wood = np.array(
            _pick(rng, ((164, 116, 72), (120, 82, 54), (206, 172, 128), (150, 140, 128), (88, 62, 46))), np.float32
        )
        planks, across = int(rng.integers(3, 7)), rng.random() < 0.5
        streak = _noise(rng, (side, side), (3, 40)).astype(np.float32) - 128
        tone = np.zeros((side, 1), np.float32)
        for i in range(planks):
            tone[i * side // planks : (i + 1) * side // planks] = float(rng.integers(-24, 25))
            tone[i * side // planks : i * side // planks + max(2, side // 90)] = -70
        out = wood + (tone + streak * np.float32(0.22))[..., None]
        out = np.rint(np.clip(out, 0, 255)).astype(np.uint8)
        return out if across else np.ascontiguousarray(out.transpose(1, 0, 2))
    if kind in ("Tiles", "Fabric"):
        where = pose((side / 2, side / 2), side / 2, float(rng.random() * 90), 0.0, 1.0, False, (0.0, 0.0))
        across = np.arange(side, dtype=np.float32)
        u, v = where.own_coordinates(across[None, :], across[:, None])
        if kind == "Tiles":
            n = float(rng.integers(2, 5))
            i, j = np.floor(u * np.float32(n)), np.floor(v * np.float32(n))
            grout = (_frac(u * np.float32(n)) < 0.05) | (_frac(v * np.float32(n)) < 0.05)
            tone = (_cell_noise(i, j, int(rng.integers(1000))) - np.float32(0.5)) * 50
            out = np.array(ground, np.float32) + tone[..., None]
            other = ((i + j) % 2 == 0)[..., None] & bool(rng.random() < 0.4)
            out = np.where(other, np.array(tones[1], np.float32) + tone[..., None], out)
            out = np.where(grout[..., None], np.float32(90), out)
        else:
            pattern = _pick(rng, ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Solid"))
            index = pattern_map(pattern, u, v, 0.4 + float(rng.random()), int(rng.integers(4)), 0.5)
            trio = np.array(
                [ground, tones[1], tuple((x + y) // 2 for x, y in zip(ground, tones[1], strict=True))], np.float32
            )
            crumple = _noise(rng, (side, side), (5, 5)).astype(np.float32) - 128
            weave = rng.integers(-12, 13, (side, side), dtype=np.int16)
            out = trio[index] * (1 + crumple * np.float32(0.0016))[..., None] + weave[..., None]
        return np.rint(np.clip(out, 0, 255)).astype(np.uint8)
    if kind == "Shapes":
        for _ in range(int(rng.integers(7, 16))):
            x, y, r = rng.random() * side, rng.random() * side, (0.05 + 0.2 * rng.random()) * side
            n = int(rng.integers(3, 8))
            turn = rng.random() * 6.28
            outline = [(x + r * (0.6 + 0.4 * rng.random()) * math.cos(turn + 6.2832 * i / n), y + r * (0.6 + 0.4 * rng.random()) * math.sin(turn + 6.2832 * i / n), *((1,) if rng.random() < 0.5 else ()))
                       for i in range(n)]  # fmt: skip
            points = [tuple(q) for q in np.rint(curve(outline)).astype(int).tolist()]
            tone = _shaded(_pick(rng, tones), 0.6 + 0.6 * rng.random())
            draw.polygon([(px + side // 60, py + side // 60) for px, py in points], fill=_shaded(ground, 0.7))
            draw.polygon(points, fill=tone)
    if kind == "Shelf":
        for level in range(int(rng.integers(2, 4))):
            y = int(side * (0.2 + 0.32 * level + 0.1 * rng.random()))
            x = 0
            while x < side:
                w, h = int(side * (0.04 + 0.1 * rng.random())), int(side * (0.08 + 0.2 * rng.random()))
                tone = _shaded(_pick(rng, tones), 0.6 + 0.5 * rng.random())
                if rng.random() < 0.7:
                    draw.rounded_rectangle((x, y - h, x + w, y), radius=side // 60, fill=tone)
                    draw.line(
                        (x + w // 5, y - h + 4, x + w // 5, y - 4), fill=_shaded(tone, 1.3), width=max(1, side // 120)
                    )
                x += w + int(side * 0.015)
            draw.rectangle((0, y, side, y + side // 24), fill=(132, 98, 66))
            draw.rectangle((0, y + side // 24, side, y + side // 17), fill=_shaded(ground, 0.6))
        image = image.filter(ImageFilter.GaussianBlur(side * 0.006))
    if kind == "Bokeh":
        for _ in range(int(rng.integers(14, 30))):
            x, y, r = rng.random() * side, rng.random() * side, (0.02 + 0.09 * rng.random()) * side
            draw.ellipse(
                (round(x - r), round(y - r), round(x + r), round(y + r)),
                fill=_shaded(_pick(rng, tones), 0.8 + 0.5 * rng.random()),
            )
        image = image.filter(ImageFilter.GaussianBlur(side * 0.02))
    out = np.asarray(image).astype(np.int16)
    if kind == "Marble":
        veins = (
            np.abs(_noise(rng, (side, side), (5, 5)).astype(np.int16) - 128)
            + np.abs(_noise(rng, (side, side), (11, 11)).astype(np.int16) - 128) // 2
        )
        out = out - np.clip(46 - 3 * veins, 0, 46)[..., None]
    mottle = (_noise(rng, (side, side), (3, 3)).astype(np.int16) - 128) // 12
    return np.clip(out + mottle[..., None], 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------ props and figure


def _flat_palette(*tones):
    """A palette for a prop: its first colours are the materials CLOTH, PLAIN, SHADE, ..."""
    table = np.zeros((16, 3), np.uint8)
    for i, tone in enumerate(tones, start=1):
        table[i] = tone
    return table, table[1:4]


def _price_tag(p, r):
    p.line([(-0.9, -0.9), (-0.3, -0.5), (0, -0.3)], 0.05, SHADE, 200)
    p.fill([(0, -0.5, 1), (0.4, -0.3, 1), (0.4, 0.8, 1), (-0.4, 0.8, 1), (-0.4, -0.3, 1)], CLOTH, 220)
    p.disc(0, -0.3, 0.09, SHADE, 80)
    for i, x in enumerate((-0.28, -0.2, -0.08, 0.0, 0.06, 0.18, 0.26)):
        p.line([(x, 0.4), (x, 0.7)], 0.03 + 0.03 * (i % 2), INSIDE, 220)
    p.line([(-0.26, 0.0), (0.26, 0.0)], 0.1, PLAIN, 220)
    p.line([(-0.26, 0.18), (0.1, 0.18)], 0.07, INSIDE, 220)


def _fingers(p, r):
    p.fill([(-1.0, 1.3, 1), (-0.75, 0.1), (0.5, 0.0), (0.9, 1.3, 1)], CLOTH, 150)
    for i, (x, y) in enumerate(((-0.62, -0.5), (-0.22, -0.8), (0.18, -0.76), (0.55, -0.45))):
        p.line([(x * 0.9, 0.5), (x, y)], 0.34, CLOTH, 160 + 12 * i)
        p.disc(x, y, 0.17, CLOTH, 160 + 12 * i)
        p.disc(x, y - 0.04, 0.09, PLAIN, 200)
    p.line([(-0.6, 0.8), (-1.0, 0.4), (-1.1, 0.1)], 0.34, CLOTH, 190)
    p.disc(-1.1, 0.1, 0.17, CLOTH, 190)


def _leaf(p, r):
    for side in (-1, 1):
        for y in (-0.7, -0.35, 0.0, 0.35):
            p.fill(
                [(0, y + 0.3), (side * 0.3, y + 0.02), (side * 0.75, y - 0.25, 1), (side * 0.5, y + 0.2)],
                CLOTH if side > 0 else SHADE,
                160,
            )
            p.seam([(0, y + 0.3), (side * 0.7, y - 0.22)], 0.03, 100)
    p.line([(0, 1.0), (0.04, 0.2), (0, -0.9)], 0.07, PLAIN, 190)


def _ribbon(p, r):
    p.line([(-2.6, r(-0.2, 0.2)), (-0.8, r(-0.2, 0.2)), (0.8, r(-0.2, 0.2)), (2.6, r(-0.2, 0.2))], 0.34, CLOTH, 200)
    p.seam([(-2.6, 0), (0, r(-0.1, 0.1)), (2.6, 0)], 0.04, 120)


def _cup(p, r):
    p.disc(0, 0, 0.95, PLAIN, 130)
    p.line([(0.5, 0.3), (0.95, 0.45), (1.0, 0.1), (0.55, 0.05)], 0.16, CLOTH, 180)
    p.disc(0, 0, 0.66, CLOTH, 220)
    p.disc(0, 0, 0.54, INSIDE, 100)


def _badge(p, r):
    points = [
        (x * (1.0 if i % 2 else 0.82), y * (1.0 if i % 2 else 0.82), 1)
        for i, (x, y) in enumerate(oval(0, 0, 0.8, n=24))
    ]
    p.fill(points, CLOTH, 200)
    p.disc(0, 0, 0.52, PLAIN, 200)
    p.line([(-0.26, 0.26), (0.26, -0.26)], 0.1, CLOTH, 200)
    p.disc(-0.2, -0.16, 0.1, CLOTH, 200)
    p.disc(0.2, 0.16, 0.1, CLOTH, 200)


_PROPS = {  # drawing, size in image widths, palettes
    _price_tag: (0.13, (((248, 246, 238), (200, 40, 46), (90, 80, 70), (40, 40, 40)), ((236, 206, 90), (40, 40, 40), (90, 80, 70), (60, 50, 40)))),
    _fingers: (0.15, (((224, 178, 148), (242, 206, 186), (200, 150, 120)), ((146, 98, 70), (196, 150, 124), (120, 80, 56)), ((96, 64, 48), (150, 112, 94), (70, 46, 36)))),
    _leaf: (0.2, (((70, 130, 66), (120, 96, 60), (52, 104, 56)), ((150, 120, 60), (110, 84, 50), (120, 92, 48)))),
    _ribbon: (0.2, (((200, 50, 60),), ((60, 90, 160),), ((232, 228, 220),), ((40, 40, 44),))),
    _cup: (0.12, (((240, 238, 232), (226, 222, 214), (180, 180, 180), (84, 52, 32)), ((70, 110, 120), (236, 234, 228), (90, 90, 90), (84, 52, 32)))),
    _badge: (0.1, (((206, 44, 48), (246, 244, 236)), ((40, 110, 80), (246, 240, 220)), ((240, 200, 60), (60, 50, 40)))),
}  # fmt: skip


def _hanger(p, r):
    p.line([(0.0, -0.8), (0.02, -0.94), (0.12, -1.02), (0.1, -1.16), (-0.02, -1.18), (-0.08, -1.08)], 0.045, PLAIN, 160)
    p.line([(-0.44, -0.6), (0, -0.82), (0.44, -0.6)], 0.08, CLOTH, 160)


def _mannequin(p, r):
    """A simple figure, in image widths from the centre."""
    p.fill(oval(0, -0.385, 0.052, 0.075), CLOTH, 160)
    p.fill([(-0.022, -0.33, 1), (0.022, -0.33, 1), (0.03, -0.26), (-0.03, -0.26)], CLOTH, 140)
    p.fill(
        mirrored(
            [
                (0, -0.3),
                (0.05, -0.285),
                (0.095, -0.26),
                (0.088, -0.12),
                (0.07, -0.06),
                (0.085, 0.06),
                (0.09, 0.1, 1),
                (0.0, 0.12, 1),
            ]
        ),
        CLOTH,
        150,
    )
    both(
        p.fill,
        [(0.09, -0.26), (0.115, -0.14), (0.15, 0.06), (0.165, 0.1), (0.145, 0.11), (0.115, 0.05), (0.07, -0.14)],
        CLOTH,
        145,
    )
    both(
        p.fill,
        [(0.0, 0.08, 1), (0.09, 0.08, 1), (0.09, 0.24), (0.1, 0.43, 1), (0.055, 0.43, 1), (0.045, 0.26), (0.006, 0.12)],
        CLOTH,
        150,
    )


_FIGURE_LOOK = Look("", "", "", "", "", "Solid", "", "", "rubber", "")


def _prop(canvas, owner, draw, where, light, rng, palette, r, keep=0.8):
    """Paint a prop over all, unless it would leave less than `keep` of a product to be seen."""
    pen = Pen(canvas.shape[0], where)
    draw(pen, r)
    covered = owner[np.asarray(pen.material) > 0]
    before, lost = np.bincount(owner.ravel(), minlength=64), np.bincount(covered, minlength=64)
    if (lost[1:] <= (1 - keep) * before[1:]).all():
        _paint(canvas, owner, pen, _FIGURE_LOOK, light, rng, 0, _flat_palette(*palette), 0.45)


def _render(rng, plan, size, bare=False):
    """Image uint8 (size, size, 3) and mask uint8 (size, size) of a plan; `bare`: a pale ground and no props."""

    def r(low, high):
        return low + (high - low) * float(rng.random())

    side = size * OVERSAMPLE
    angle = r(-2.7, -0.44)
    light = Light(math.cos(angle), math.sin(angle), r(0.78, 1.12), r(-0.1, 0.1), r(-0.16, 0.16))
    canvas = np.full((side, side, 3), 226, np.uint8) if bare else _enlarged(_background(rng, plan.background, side // 2), side)
    owner = np.zeros((side, side), np.uint8)
    places = _places(rng, r, plan)
    if plan.worn:
        figure = Pen(side, pose((side * 0.5, side * 0.5), side * 1.0))
        _mannequin(figure, r)
        tone = _pick(rng, ((232, 226, 216), (202, 172, 146), (150, 146, 142), (236, 236, 236), (126, 92, 70)))
        _paint(canvas, owner, figure, _FIGURE_LOOK, light, rng, 0, _flat_palette(tone))
    for look, (x, y, unit, turn, a) in zip(plan.looks, places, strict=True):
        tilt = (0.0, 0.0) if plan.worn else (r(-0.12, 0.12), r(-0.15, 0.15))
        shear = 0.0 if plan.worn else r(-0.14, 0.14)
        where = pose(
            (x * side, y * side), unit * side, turn, shear, r(0.9, 1.08), rng.random() < 0.5, tilt, r(-0.05, 0.05)
        )
        pen = Pen(side, where)
        t = TYPES[look.type]
        if t.slot == "torso" and not plan.worn and not bare and rng.random() < 0.3:
            hang = Pen(side, where)
            _hanger(hang, r)
            _paint(canvas, owner, hang, _FIGURE_LOOK, light, rng, 0, _flat_palette((150, 110, 70), (180, 180, 184)))
        t.draw(pen, r, look.a | a)
        _paint(canvas, owner, pen, look, light, rng, MASK_VALUE[look.type])
    for _ in range(0 if bare else int(rng.choice(3, p=(0.6, 0.32, 0.08)))):
        draw_prop = _pick(rng, list(_PROPS))
        scale, palettes = _PROPS[draw_prop]
        where = pose(
            (r(0.15, 0.85) * side, r(0.15, 0.85) * side),
            scale * r(0.7, 1.2) * side,
            r(-60, 60),
            0.0,
            1.0,
            rng.random() < 0.5,
        )
        _prop(canvas, owner, draw_prop, where, light, rng, _pick(rng, palettes), r)

    image = np.asarray(Image.fromarray(canvas).reduce(OVERSAMPLE)).astype(np.float32)
    ramp = np.arange(size, dtype=np.float32) / np.float32(size) - np.float32(0.5)
    lit = np.float32(light.gain) * (
        1 + np.float32(light.slope) * (ramp[None, :] * np.float32(light.x) + ramp[:, None] * np.float32(light.y)) * 2
    )
    tint = np.array([1 + light.warmth, 1.0, 1 - light.warmth], np.float32)
    grain = rng.integers(-3, 4, (size, size, 1), dtype=np.int16)
    image = np.rint(np.clip(image * lit[..., None] * tint + grain, 0, 255)).astype(np.uint8)
    centre = OVERSAMPLE // 2
    return image, np.ascontiguousarray(owner[centre::OVERSAMPLE, centre::OVERSAMPLE])


def _places(rng, r, plan):
    """Of each product: x, y, unit (image widths), turn (degrees), and details that the place decides."""
    if plan.kind == "single":
        t = TYPES[plan.looks[0].type]
        turn = r(-t.turn, t.turn) * (0.7 if rng.random() < 0.8 else 1.6)
        return [(0.5 + r(-0.05, 0.05), 0.5 + r(-0.05, 0.05), r(0.37, 0.48) * t.zoom, turn, {})]
    if plan.worn:
        return [
            (
                *(c + r(-0.004, 0.004) for c in _WORN[TYPES[x.type].slot][:2]),
                _WORN[TYPES[x.type].slot][2],
                0.0,
                {"layout": 3},
            )
            for x in plan.looks
        ]
    flip = rng.random() < 0.5
    spots = _LAID[len(plan.looks)]
    return [((1 - x if flip else x) + r(-0.03, 0.03), y + r(-0.03, 0.03), unit * r(0.9, 1.08), r(-1, 1) * TYPES[look.type].turn, {})
            for look, (x, y, unit) in zip(plan.looks, spots, strict=True)]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- words

_BRANDS = ("Harbour & Pine", "Northfold", "Tilda Rue", "Quill & Thread", "Oskerby", "Velvet Finch", "Lumen Row", "Cobble Street", "Saltgrass", "Juniper Works",
           "Fenwright", "Pale Otter")  # fmt: skip
_PATTERN_WORDS = {"Solid": ("plain", ""), "Striped": ("striped",), "Checked": ("checked", "chequered"), "Dotted": ("dotted", "polka-dot"), "Floral": ("floral", "flowery"),
                  "Zigzag": ("zigzag", "chevron-patterned"), "Camouflage": ("camouflage", "camo"), "Colour Blocked": ("two-tone", "colour-blocked"),
                  "Printed": ("printed", "graphic")}  # fmt: skip
_PATTERN_TAILS = {"Striped": "with stripes", "Checked": "with checks", "Dotted": "with dots", "Floral": "with a flower print", "Zigzag": "with a zigzag pattern",
                  "Camouflage": "with a camouflage print", "Colour Blocked": "in two blocks of colour", "Printed": "with a print on the front"}  # fmt: skip
_NECK_TAILS = {"Crew Neck": "with a crew neck", "V-Neck": "with a V-neck", "Scoop Neck": "with a scoop neck", "Polo Collar": "with a polo collar", "Shirt Collar": "with a collar",
               "Hooded": "with a hood", "Turtleneck": "with a roll neck", "Lapel Collar": "with an open front"}  # fmt: skip
_SLEEVE_TAILS = {
    "Short Sleeves": "with short sleeves",
    "Long Sleeves": "with long sleeves",
    "Sleeveless": "without sleeves",
}
_OWNERS = {"Men": "men's", "Women": "women's", "Girls": "girls'", "Unisex": "unisex"}
_PLACES = {"Plain": ("against a plain background", "on a bare backdrop"), "Gradient": ("in front of a shaded backdrop", "against a backdrop of fading colour"),
           "Wood": ("on a wooden surface", "on wooden boards"), "Tiles": ("on tiles", "on a tiled surface"), "Fabric": ("on a piece of cloth", "on top of a fabric"),
           "Shapes": ("among coloured shapes", "before a backdrop of odd shapes"), "Shelf": ("in front of a shelf", "before some shelves"),
           "Bokeh": ("in front of blurred lights", "before blurry dots of light"), "Marble": ("on marble", "on a marble slab")}  # fmt: skip


def _a(words):
    """With its article: 'an orange cap'.

    >>> _a("orange cap"), _a("unisex cap"), _a("pair of jeans")
    ('an orange cap', 'a unisex cap', 'a pair of jeans')
    """
    return ("an " if words[0] in "aeio" or words.startswith("um") else "a ") + words


def _noun_phrase(rng, look, short=False):
    """Words for a product with its article, or a bare plural: ('a striped red shirt', False) or ('blue jeans', True)."""
    noun = _pick(rng, TYPES[look.type].nouns)
    plural, pair = False, ""
    if noun.startswith("pair of "):
        noun = noun.removeprefix("pair of ")
        plural = bool(rng.random() < 0.5)
        pair = "" if plural else "pair of "
    colour = _pick(rng, COLOURS[look.colour][1])
    pattern = _pick(rng, _PATTERN_WORDS[look.pattern])
    form = int(rng.integers(5 if short else 6))
    tails = [x for x in (_NECK_TAILS.get(look.neckline), _SLEEVE_TAILS.get(look.sleeve)) if x]
    before, after = {
        0: ([colour, pattern], ""),
        1: ([pattern, colour], ""),
        2: ([colour], ""),
        3: ([colour], _PATTERN_TAILS.get(look.pattern, "") if look.pattern in _PATTERN_TAILS else ""),
        4: ([_OWNERS[look.gender], colour, pattern], ""),
        5: ([colour, pattern], _pick(rng, tails) if tails else ""),
    }[form]
    owner = before.pop(0) + " " if form == 4 else ""  # "a women's pair of" reads badly: the owner stays with the noun
    words = pair + owner + " ".join([w for w in before if w] + [noun])
    words = words if plural else _a(words)
    return (f"{words} {after}" if after else words), plural


def _upper(sentence):
    return sentence[0].upper() + sentence[1:]


_SEASON_WORDS = {
    "Summer": ("summer", "warm days"),
    "Winter": ("winter", "cold days"),
    "Fall": ("autumn", "the fall"),
    "Spring": ("spring", "the first mild days"),
}
_USAGE_WORDS = {"Casual": ("everyday wear", "casual days"), "Formal": ("the office", "formal occasions"), "Party": ("a party", "an evening out"),
                "Sports": ("sports", "the gym"), "Travel": ("travel", "a trip")}  # fmt: skip
_SINGLE_FORMS = (
    "{x}.", "{x} {place}.", "A photo of {x}.", "The picture shows {x} {place}.", "{x} {lie} {place}.", "Here {be} {x}, made for {usage}.", "{x} for {season}.",
    "{place}: {x}.", "{x}, photographed {place}.", "{brand} offers {x} for {usage}.", "One item from the catalogue: {x}.", "{x} {be} shown {place}.", "Someone took a picture of {x}.",
    "A shop image with {x}, good for {season}.", "You can see {x} here, {place}.", "{x}, a choice for {usage} in {season1}.",
)  # fmt: skip
_OUTFIT_FORMS = (
    "{xs}.", "An outfit of {xs}.", "{xs} {together}.", "The picture shows {xs} {place}.", "{x} goes with {rest}.", "{xs}, {together} {place}.", "A look for {usage}: {xs}.",
    "{x} and {y}, among other things.", "{n} products {together}: {xs}.", "{x} combined with {rest}.", "{brand} puts {x} together with {rest}.", "A set for {season} with {xs}.",
    "There {be} {xs} in this photo.", "A photo of {xs} {place}.",
)  # fmt: skip


def _joined(phrases):
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def captions(rng, looks, worn, background):
    """Five different English captions of an image with these products, the largest first."""
    several = len(looks) > 1
    forms = [f for f in (_OUTFIT_FORMS if several else _SINGLE_FORMS) if len(looks) > 2 or "among other" not in f]
    lines = []
    for i in rng.permutation(len(forms)):
        order = [looks[j] for j in rng.permutation(len(looks))] if several else looks
        phrases = [_noun_phrase(rng, look, short=several) for look in order]
        words, plural = phrases[0]
        line = forms[i].format(
            x=words, y=phrases[-1][0], xs=_joined([p for p, _ in phrases]), rest=_joined([p for p, _ in phrases[1:]]) if several else "", n=("", "", "Two", "Three", "Four", "Five")[len(looks)],
            be="are" if plural else "is", lie="lie" if plural else "lies", place=_pick(rng, _PLACES[background]), usage=_pick(rng, _USAGE_WORDS[looks[0].usage]),
            season=_pick(rng, _SEASON_WORDS[looks[0].season]), season1=_SEASON_WORDS[looks[0].season][0], brand=_pick(rng, _BRANDS),
            together=_pick(rng, ("worn together", "on one figure", "on a mannequin") if worn else ("laid out together", "side by side", "arranged together")),
        )  # fmt: skip
        if several and plural:
            line = line.replace(" goes with ", " go with ")
        line = _upper(line)
        if line not in lines:
            lines.append(line)
        if len(lines) == 5:
            return lines
    raise AssertionError(f"only {len(lines)} different captions of {looks}")


def product_name(rng, look):
    """As a shop would call it: 'Harbour & Pine Men Navy Blue Striped Crew Neck T-shirt'."""
    noun = TYPES[look.type].nouns[0].removeprefix("pair of ")
    noun = " ".join(w[0].upper() + w[1:] for w in noun.split())
    words = [
        _pick(rng, _BRANDS),
        look.gender,
        look.colour,
        look.pattern if look.pattern != "Solid" else "",
        look.neckline if look.neckline not in ("Shirt Collar", "Hooded") else "",
        noun,
    ]
    return " ".join(w for w in words if w)


# -------------------------------------------------------------------------------------------------------- draw and write

_SPLITS = (("train", 0.65), ("validation", 0.10), ("test", 0.20), ("unseen", 0.05))
_LEAST = 40  # images: fewer would leave a split without singles and outfits
COLUMNS = ("file_name", "label", "labels", "kind", "id", "gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage", "productDisplayName", "pattern",
           "sleeve", "neckline", "background", "caption_1", "caption_2", "caption_3", "caption_4", "caption_5", "mask_file_name")  # fmt: skip


def _check(size, seed):
    if not (isinstance(size, int | np.integer) and 48 <= size <= 1024):
        raise ValueError(f"size is {size!r}; allowed: a whole number of pixels from 48 to 1024")
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"seed is {seed!r}; allowed: a whole number from 0")


def draw(index, type_name, kind="single", size=96, seed=0):
    """One image of the collection: image uint8 (size, size, 3), mask uint8 (size, size), and its row of metadata.csv (a dict).

    `index` numbers the image (with `seed` it decides everything that is left to chance); `kind` is "single" or "outfit", whose
    first product is `type_name`. The row of an outfit has the attributes of the product with the most pixels; its `labels` go
    from the largest to the smallest. Raises ValueError for an unknown type or kind, a size outside 48..1024, a negative seed.

    >>> image, mask, row = draw(7, "Jeans", size=48)
    >>> image.shape, mask.shape, sorted(set(mask.ravel().tolist())) == [0, MASK_VALUE["Jeans"]]
    ((48, 48, 3), (48, 48), True)
    """
    _check(size, seed)
    if type_name not in TYPES:
        raise ValueError(f"unknown product type {type_name!r}; known: {', '.join(TYPES)}")
    if kind not in ("single", "outfit"):
        raise ValueError(f"kind is {kind!r}; allowed: 'single', 'outfit'")
    rng = np.random.default_rng([seed, 0, index])
    plan = _plan(rng, type_name, kind)
    image, mask = _render(rng, plan, size)
    area = np.bincount(mask.ravel(), minlength=len(TYPES) + 1)
    looks = sorted(plan.looks, key=lambda x: (-area[MASK_VALUE[x.type]], MASK_VALUE[x.type]))
    words = np.random.default_rng([seed, 1, index])
    main, t = looks[0], TYPES[looks[0].type]
    name = f"{index:06d}.png"
    lines = captions(words, looks, plan.worn, plan.background)
    shown = product_name(words, main) + (f" in a Set of {len(looks)}" if len(looks) > 1 else "")
    row = (name, main.type, "|".join(x.type for x in looks), kind, index, main.gender, t.category, t.subcategory, main.type, main.colour, main.season, main.usage, shown,
           main.pattern, main.sleeve, main.neckline, plan.background, *lines, f"masks/{name}")  # fmt: skip
    return image, mask, dict(zip(COLUMNS, row, strict=True))


def _jobs(n_images, seed):
    """(split, index, type, kind) of every image: three singles to an outfit, types balanced among the singles of a split."""
    counts = {name: max(1, round(share * n_images)) for name, share in _SPLITS[1:]}
    counts = {"train": n_images - sum(counts.values()), **counts}
    jobs = []
    for number, (split, n) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, 2, number])
        types = UNSEEN if split == "unseen" else SEEN
        kinds = ["outfit"] * (n // 4) + ["single"] * (n - n // 4)
        rounds = [types[j] for _ in range(n // len(types) + 2) for j in rng.permutation(len(types))]
        for i in rng.permutation(n):
            jobs.append((split, len(jobs), rounds[i], kinds[i]))
    return jobs


def _draw_file(job, folder, size, seed):
    """Draw a job into its two files; returns its row and the digest of its pixels."""
    split, index, type_name, kind = job
    image, mask, row = draw(index, type_name, kind, size, seed)
    Image.fromarray(image).save(Path(folder) / split / row["file_name"])
    picture = Image.fromarray(mask)
    picture.putpalette(_MASK_PALETTE)
    picture.save(Path(folder) / split / row["mask_file_name"])
    return row, hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


_MASK_PALETTE = [0, 0, 0] + [
    c for i in range(1, 64) for c in (60 + (i * 67) % 190, 60 + (i * 101) % 190, 60 + (i * 151) % 190)
]


def _default_folder():
    here = Path.cwd()
    for parent in (here, *here.parents):
        if (parent / "data").is_dir():
            return parent / "data" / "catalogue"
    return here / "data" / "catalogue"


def _found(folder, parameters):
    """Whether `folder` holds this very catalogue, complete. Raises ValueError if something else is there."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    manifest_file = folder / "manifest.json"
    if not manifest_file.is_file():
        raise ValueError(
            f"{folder} holds something that is not a drawn catalogue (no manifest.json); give another folder"
        )
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    there = {k: manifest.get(k) for k in parameters}
    if {**there, "version": 0} != {**parameters, "version": 0}:
        raise ValueError(
            f"{folder} holds a catalogue of {there}, asked for {parameters}; give another folder or remove that one"
        )
    if there != parameters:
        return False  # drawn by an older version of this file
    for split, n in manifest["splits"].items():
        if not (folder / split / "metadata.csv").is_file():
            return False
        if any(sum(1 for _ in where.glob("*.png")) != n for where in (folder / split, folder / split / "masks")):
            return False
    return True


def write(folder=None, n_images=6000, size=96, seed=0, progress=True, workers=None):
    """Draw the collection into `folder` in the collection layout, unless it is there; returns the folder.

    The default folder is `data/catalogue` below the nearest parent of the working directory that has a `data` folder. Splits:
    65 % train, 10 % validation, 20 % test and 5 % unseen, whose product types no other split has; a quarter of each are outfits.
    The images are drawn by `workers` processes (default: one a core) and the pixels do not depend on how many. All is drawn into
    a folder beside and moved in one step, with manifest.json (parameters, a digest of all pixels), so a run that is stopped
    leaves nothing that a later one would trust, and of two runs at once one wins. A complete catalogue of the same parameters
    is found, not drawn; one that lacks files or comes from another version of this file is drawn anew. Raises ValueError for
    parameters out of range, and if the folder holds a catalogue of other parameters or anything else.
    """
    _check(size, seed)
    if not (isinstance(n_images, int | np.integer) and n_images >= _LEAST):
        raise ValueError(f"n_images is {n_images!r}; allowed: a whole number from {_LEAST}")
    folder = _default_folder() if folder is None else Path(folder)
    parameters = {"version": VERSION, "n_images": int(n_images), "size": int(size), "seed": int(seed)}
    if _found(folder, parameters):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-drawing-*"):  # by a run that was killed
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    drawing = Path(tempfile.mkdtemp(prefix=f".{folder.name}-drawing-", dir=folder.parent))
    try:
        _write_all(drawing, parameters, progress, workers)
        _move_in(drawing, folder, parameters)
    finally:
        shutil.rmtree(drawing, ignore_errors=True)
    return folder


def _write_all(folder, parameters, progress, workers):
    n_images, size, seed = parameters["n_images"], parameters["size"], parameters["seed"]
    jobs = _jobs(n_images, seed)
    splits = {name: sum(job[0] == name for job in jobs) for name, _ in _SPLITS}
    for split in splits:
        (folder / split / "masks").mkdir(parents=True)
    workers = (os.cpu_count() or 1) if workers is None else workers
    common = (repeat(str(folder)), repeat(size), repeat(seed))
    bar = {"total": n_images, "desc": "drawing the catalogue", "unit": "image", "disable": not progress}
    if workers == 1 or n_images < 200:
        done = list(tqdm(map(_draw_file, jobs, *common), **bar))
    else:  # fresh processes: a forked one would inherit the caller's threads and their locks
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            done = list(tqdm(pool.map(_draw_file, jobs, *common, chunksize=16), **bar))
    for split in splits:
        with open(folder / split / "metadata.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(row for job, (row, _) in zip(jobs, done, strict=True) if job[0] == split)
    with open(folder / "classes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("class", "parent", "name", "leaf"), *_tree()])
    with open(folder / "mask_labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("value", "label"), (0, "background"), *((v, k) for k, v in MASK_VALUE.items())]
        )
    digest = hashlib.sha256("".join(d for _, d in done).encode()).hexdigest()
    manifest = {**parameters, "splits": splits, "pixels_sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _tree():
    """Rows of classes.csv, parents before children: the root, master categories, sub-categories, product types."""
    rows = [("catalogue", "", "catalogue", 0)]
    for t in TYPES.values():
        for row in (
            (t.category, "catalogue", t.category, 0),
            (f"{t.category}/{t.subcategory}", t.category, t.subcategory, 0),
        ):
            if row not in rows:
                rows.append(row)
    return rows + [(t.name, f"{t.category}/{t.subcategory}", t.name, 1) for t in TYPES.values()]


def _move_in(drawing, folder, parameters):
    """Put a finished drawing in its place; if another process was faster, keep what that one put there."""
    for _ in range(3):
        if _found(folder, parameters):
            return
        if folder.exists():  # empty, incomplete or older: out of the way
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-drawing-", dir=folder.parent))
            try:
                os.replace(folder, old / "old")
            except FileNotFoundError:
                pass
            shutil.rmtree(old, ignore_errors=True)
        try:
            os.rename(drawing, folder)
            return
        except OSError:  # it is there again
            continue
    raise OSError(f"could not move the drawn catalogue into {folder}")


def probe(factor, n_images=240, size=96, seed=0):
    """Images uint8 (n, size, size, 3) and labels (n,) of classes that differ in one factor only: what does a descriptor see?

    "colour": classes are base colours; product types, poses and light are distributed alike, all plain. "shape": classes are
    product types, all in the same plain grey. "texture": classes are patterns, all on T-shirts in the same two colours. Every
    image has its own pose and light, on a plain pale ground with nothing in front. Classes are balanced and in turn.
    Raises ValueError for another factor.
    """
    _check(size, seed)
    classes = {"colour": ("Blue", "Green", "Yellow", "Red", "Purple", "Brown", "Turquoise Blue", "Grey"),
               "shape": ("Tshirts", "Jeans", "Dresses", "Casual Shoes", "Handbags", "Caps", "Sunglasses", "Watches"),
               "texture": ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage")}  # fmt: skip
    if factor not in classes:
        raise ValueError(f"unknown factor {factor!r}; known: {', '.join(classes)}")
    names = classes[factor]
    if n_images < 2 * len(names):
        raise ValueError(
            f"n_images is {n_images}; allowed: from {2 * len(names)}, two of each of the {len(names)} classes"
        )
    images, labels = [], []
    for i in range(n_images):
        rng = np.random.default_rng([seed, 3, i])
        name = names[i % len(names)]
        kind = {"colour": classes["shape"][int(rng.integers(8))], "shape": name, "texture": "Tshirts"}[factor]
        plan = _plan(rng, kind, "single")
        look = plan.looks[0]
        look.pattern, look.finish, look.colour, look.second = "Solid", "cotton", "Grey", "Grey"
        look.a |= {"trim": False, "faded": False, "dark": False}
        if factor == "colour":
            look.colour = look.second = name
        if factor == "texture":
            look.pattern = name
            look.colour, look.second = ("Navy Blue", "Beige") if rng.random() < 0.5 else ("Beige", "Navy Blue")
        plan.background = "Plain"
        images.append(_render(rng, plan, size, bare=True)[0])
        labels.append(name)
    return np.stack(images), np.array(labels)


if __name__ == "__main__":
    print(write())
