"""The embedded collection: a small shop catalogue of which every pixel and every word is known, because code draws it.

Contents: `write` draws the collection into a folder, `draw` draws one image of it, `probe` draws images of classes that
differ in one thing only; the tables `TYPES`, `COLOURS`, `PATTERNS`, `BACKGROUNDS` say what there is to draw.

How an image comes to be. A *plan* (products, attributes, scene) is taken from `default_rng([seed, 0, image])`. Each
product type is a short function that fills smooth outlines with materials, in coordinates of its own. A pose turns,
shears and tilts them into the image; colours, pattern, folds and light make pixels of them; they are laid over a ground
with their shadow. What lies on top of a product is cut out of its mask. All this is done at three times the size and
averaged down. What is computed with more than one rounding on the way to a pixel is float32 or float64 arithmetic
without library sums or transcendental functions of arrays, so the same seed gives the same pixels in any process.

The file is long because there are 34 product types, each some 15 lines of outlines, and because it must work alone. It
goes: pen, products, tables, plans, painting, grounds, props, words, writing.

Needs numpy, Pillow, joblib and tqdm. Copy this file alone.
"""

import csv
import hashlib
import json
import math
import os
import shutil
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image, ImageDraw, ImageFilter
from tqdm.auto import tqdm

VERSION = 4  # raise it with every change that changes a pixel or a word: older drawings are then drawn anew
OVERSAMPLE = 3  # images are drawn at this many times their size; odd, so that a mask pixel has a centre

# ------------------------------------------------------------------------------------------------- outlines and the pen

# Materials, the values of the material map; 0 is see-through.
(CLOTH, PLAIN, SHADE, INSIDE, SECOND, WHITE, INK, METAL, RUBBER, LEATHER, GLASS, THREAD, PALE) = range(1, 14)
OPEN = 0


def curve(points, closed=True, steps=6):
    """Smooth line through `points`, float64 (m, 2): a Catmull-Rom spline with tangents as long as each stretch.

    A point with a third entry is a corner; two corners in a row are joined by a straight stretch.

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
    """Where a product's own coordinates (about -1..1, y down) lie in the drawing: projective 3x3 matrix, and a bend."""

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
    """Pose with the product's centre at `centre` (pixels), `unit` pixels a unit, turned by `turn` degrees."""
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
# fmt: off
# Each function draws one type with pen `p`, shape jitter from `r` (r(low, high)) and the look's attributes `a`.


def folds(p, r, n, x=(-0.4, 0.4), y=(-0.4, 0.7), length=(0.2, 0.6), steep=True):
    """Soft folds: broad strokes in the height map only."""
    for _ in range(n):
        cx, cy, half, lean = r(*x), r(*y), r(*length) / 2, r(-0.3, 0.3)
        dx, dy = (lean * half, half) if steep else (half, lean * half)
        points = [(cx - dx, cy - dy), (cx + r(-0.04, 0.04), cy), (cx + dx, cy + dy)]
        p.seam(points, r(0.03, 0.07), 150 + int(r(14, 34)) * (1 if r(0, 1) < 0.5 else -1))


SLEEVES = {"Sleeveless": 0.0, "Short Sleeves": 0.36, "Long Sleeves": 1.08}


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
        p.seam([(side * (shoulder - 0.01), -0.62), (side * (shoulder - 0.04), -0.4), (side * pit[0], pit[1])],
            0.02, 80)
        if length > 0.5:
            for t in (0.35, 0.5, 0.68):
                x, y = shoulder + t * length * dx, -0.43 + t * length * dy
                p.seam([(side * (x - 0.06), y - 0.05), (side * (x + 0.05), y + r(-0.02, 0.06))], 0.035, 112)
        if band:
            b = 0.09
            cuffs = [out, inn, (inn[0] - b * dx, inn[1] - b * dy), (out[0] - b * dx, out[1] - b * dy)]
            p.fill([(side * x[0], x[1], 1) for x in cuffs], band, 160)


def body(p, r, shoulder=0.42, waist=0.36, hem=0.39, bottom=0.72, neck=0.16, depth=0.12, pointed=False, flare=0.0,
    lining=True):
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
    depth = {"Crew Neck": r(0.1, 0.14), "V-Neck": r(0.24, 0.32), "Scoop Neck": r(0.22, 0.3),
        "Polo Collar": 0.12}[a["neckline"]]
    line = body(p, r, 0.43, r(0.36, 0.41), r(0.38, 0.42), r(0.62, 0.74), r(0.16, 0.2), depth, pointed)
    folds(p, r, 4)
    if polo:
        p.line([(0, -0.62), (0, -0.3)], 0.07, PLAIN, 160)
        for y in (-0.53, -0.44, -0.35):
            p.disc(0, y, 0.016, WHITE)
        both(p.fill, [(0.02, -0.58, 1), (0.2, -0.75, 1), (0.25, -0.66), (0.13, -0.5, 1)], PLAIN, 190)
    else:
        p.line(line, 0.045, SECOND if a["trim"] else SHADE, 175)
    p.seam([(-0.39, 0.62), (0, 0.65), (0.39, 0.62)], 0.012)


def shirt(p, r, a):
    sleeves(p, r, a, 0.43, 0.1, 0.0, PLAIN if SLEEVES[a["sleeve"]] > 0.5 else 0)
    body(p, r, 0.43, r(0.36, 0.4), r(0.38, 0.42), 0.7, 0.17, 0.16, True, r(0, 0.02))
    folds(p, r, 3)
    p.line([(0, -0.5), (0, 0.73)], 0.11, PLAIN, 165)
    p.seam([(0.06, -0.5), (0.06, 0.73)], 0.018, 90)
    for i in range(6):
        p.disc(0, -0.46 + i * 0.2, 0.032, WHITE if a["dark"] else INK, 200)
    if a["pocket"]:
        p.seam([(0.14, -0.28), (0.32, -0.28), (0.32, -0.1), (0.23, -0.06), (0.14, -0.1), (0.14, -0.28)], 0.02, 90)
    p.fill(mirrored([(0, -0.79), (0.16, -0.77), (0.19, -0.7), (0, -0.66)]), PLAIN, 150)
    p.fill([(-0.13, -0.72), (0, -0.745), (0.13, -0.72), (0, -0.58, 1)], INSIDE, 80)
    both(p.fill, [(0.0, -0.56, 1), (0.14, -0.78, 1), (0.22, -0.69), (0.2, -0.5, 1)], PLAIN, 200)


def top(p, r, a):
    """A camisole or tank top: straps instead of shoulders."""
    wide, low = r(0.24, 0.28), r(0.5, 0.66)
    both(p.line, [(wide, -0.44), (wide - 0.05, -0.8)], r(0.035, 0.08), PLAIN)
    p.fill(mirrored([(0, -0.3 + r(-0.06, 0.04)), (wide - 0.02, -0.47, 1), (wide + 0.05, -0.46, 1), (0.33, -0.26),
        (0.36, -0.16, 1), (r(0.28, 0.32), 0.14), (r(0.4, 0.5), low, 1), (0.2, low + 0.05), (0, low + 0.03)]))
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
    p.seam([(-0.17, 0.16), (0.17, 0.16), (0.28, 0.4), (0.28, 0.58), (-0.28, 0.58), (-0.28, 0.4), (-0.17, 0.16)],
        0.024, 80)
    for x, end in ((0.07, r(-0.2, -0.1)), (-0.07, r(-0.2, -0.1))):
        p.line([(x, -0.45), (x * 1.3, -0.3), (x, end)], 0.026, WHITE, 210)
    p.fill([(-0.41, 0.6, 1), (0.41, 0.6, 1), (0.38, 0.74, 1), (-0.38, 0.74, 1)], SHADE, 160)


def sweater(p, r, a):
    """A knitted jumper: ribbed hem, cuffs and neck; a high roll neck or a V."""
    band = SECOND if a["trim"] else SHADE
    sleeves(p, r, a, 0.45, 0.1, 0.05, band)
    neck, pointed = a["neckline"], a["neckline"] == "V-Neck"
    line = body(p, r, 0.45, 0.42, 0.4, 0.62, 0.18, 0.34 if pointed else 0.1, pointed, 0.0, neck != "Turtleneck")
    for x in np.arange(-0.36, 0.37, 0.12):
        p.seam([(x, -0.4), (x + r(-0.01, 0.01), 0.56)], 0.034, 116)
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
        p.line(line, 0.075, band, 185)
    p.fill([(-0.4, 0.56, 1), (0.4, 0.56, 1), (0.37, 0.73, 1), (-0.37, 0.73, 1)], band, 165)
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
        half = [(0.15, -0.76, 1), (0.46, -0.63), (0.45, -0.3), (0.41, 0.14), (0.45, low, 1), (gap + 0.05, low + 0.03),
            (gap, 0.2, 1), (gap + 0.01, -0.16)]
        p.fill([(s * x[0], *x[1:]) for x in half], CLOTH, 165)
        p.seam([(s * 0.17, 0.34), (s * 0.37, 0.31)], 0.05, 210)
        p.seam([(s * 0.17, 0.38), (s * 0.37, 0.35)], 0.018, 80)
    folds(p, r, 3, (-0.4, 0.4), (-0.1, 0.5))
    if a["zip"]:
        both(p.line, [(gap + 0.01, -0.2), (gap + 0.01, low)], 0.03, METAL, 180)
        both(p.fill, [(0.05, -0.5, 1), (0.13, -0.82, 1), (0.24, -0.76), (0.2, -0.5, 1)], SHADE, 200)
    else:
        both(p.fill, [(gap, 0.06, 1), (0.13, -0.8, 1), (0.23, -0.7), (0.31, -0.44, 1), (0.25, -0.4, 1),
            (0.29, -0.34, 1)], PLAIN, 205)
        for y in (0.12, 0.3):
            p.disc(gap + 0.05, y, 0.03, INK)


def waistcoat(p, r, a):
    body(p, r, 0.3, 0.3, 0.34, 0.56, 0.14, 0.6, True, 0.0)
    both(p.fill, [(0.28, -0.64, 1), (0.36, -0.3), (0.42, -0.16, 1), (0.36, 0.1), (0.36, 0.5, 1), (0.16, 0.68, 1),
        (0.0, 0.52, 1), (0, -0.1, 1), (0.14, -0.74, 1)])
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
        half = [(0, top + 0.02, 1), (waist, top, 1), (hip, top + 0.3), (hip - 0.01, crotch),
            (out + foot * 0.9, low, 1), (out - foot, low + 0.02, 1), (0.1, crotch + 0.22), (0.0, crotch, 1)]
        p.fill([(s * x[0], *x[1:]) for x in half], CLOTH, 150 if s > 0 else 142)
        middle = [(s * 0.17, top + 0.22), (s * 0.2, crotch + 0.1), (s * out, low)]
        if not denim:
            p.seam(middle, 0.03, 215)  # the crease of pressed trousers
        p.seam([(s * 0.12, crotch + 0.2), (s * 0.26, crotch + 0.26)], 0.04, 118)
        if low > 0.5:
            p.seam([(s * 0.14, crotch + 0.62), (s * 0.3, crotch + 0.56)], 0.05, 115)
            p.seam([(s * 0.2, low - 0.22), (s * 0.36, low - 0.18)], 0.04, 118)
    p.seam([(0, top), (0.005, crotch)], 0.022, 80)
    p.line([(-waist - 0.005, top + 0.05), (0, top + 0.08), (waist + 0.005, top + 0.05)],
        0.085, CLOTH if denim else SHADE, 175)
    return waist, top, crotch, hip, out, low, foot


def jeans(p, r, a):
    waist, top, crotch, hip, out, low, foot = trousers(p, r, a, denim=True, wide=r(0.1, 0.17))
    for s in (1, -1):
        p.line([(s * 0.12, top + 0.13), (s * 0.16, top + 0.24), (s * (hip - 0.02), top + 0.29)], 0.026, THREAD, 140)
        p.line([(s * (hip - 0.03), crotch), (s * (out + foot * 0.72), low - 0.03)], 0.022, THREAD, 140)
        p.line([(s * (out - foot), low - 0.035), (s * (out + foot * 0.9), low - 0.05)], 0.028, THREAD, 140)
        if a["faded"]:
            p.fill(oval(s * 0.22, crotch + 0.3, 0.06, 0.22), PALE, 150)
        for x in (0.12, 0.24):
            p.line([(s * x, top + 0.0), (s * x, top + 0.12)], 0.03, CLOTH, 205)
    p.line([(-waist, top + 0.11), (0, top + 0.14), (waist, top + 0.11)], 0.024, THREAD, 140)
    p.line([(0.07, top + 0.14), (0.07, crotch - 0.14), (0, crotch - 0.06)], 0.024, THREAD, 140)
    p.disc(0.01, top + 0.07, 0.034, METAL, 220)


def shorts(p, r, a):
    low, top, waist = r(0.42, 0.6), -0.5, r(0.44, 0.5)
    for s in (1, -1):
        half = [(0, top, 1), (waist, top, 1), (waist + 0.08, -0.1), (waist + r(0.12, 0.2), low, 1),
            (0.09, low + 0.05, 1), (0.0, 0.1, 1)]
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
    p.fill([(-0.8, -0.36, 1), (-0.62, -0.26), (-0.3, -0.34), (-0.18, -0.48, 1), (0.1, -0.26), (0.42, -0.1),
        (0.78, 0.02), (0.9, 0.22, 1), (-0.86, 0.22, 1), (-0.86, -0.06)])
    p.fill([(0.45, -0.09, 1), (0.76, 0.0), (0.92, 0.2, 1), (0.5, 0.22, 1), (0.44, 0.08)],
        SECOND if a["trim"] else SHADE, 175)
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
    p.fill([(-0.78, -0.28, 1), (-0.55, -0.17), (-0.26, -0.22), (-0.1, -0.36, 1), (0.14, -0.16), (0.46, -0.04),
        (0.86, 0.06), (1.0, 0.2), (0.94, 0.26, 1), (-0.82, 0.24, 1), (-0.85, 0.0)])
    p.fill([(-0.12, -0.34, 1), (0.12, -0.17), (0.2, -0.06), (-0.06, 0.02), (-0.2, -0.16)], SHADE, 180)
    for i in range(4):
        x, y = -0.09 + i * 0.065, -0.26 + i * 0.055
        p.line([(x - 0.05, y + 0.07), (x + 0.05, y)], 0.026, INK, 210)
    p.seam([(0.52, -0.02), (0.46, 0.1), (0.5, 0.24)], 0.03, 85)
    p.seam([(-0.16, 0.0), (-0.4, 0.1), (-0.5, 0.24)], 0.024, 90)
    p.fill([(-0.84, 0.22, 1), (0.96, 0.22), (1.02, 0.27), (0.9, 0.32), (0.3, 0.32), (-0.2, 0.32, 1), (-0.26, 0.42, 1),
        (-0.82, 0.42, 1)], INK, 150)
    p.seam([(0.6, 0.06), (0.8, 0.1)], 0.03, 250)


def heel(p, r, a):
    """A pump on a thin high heel."""
    h = r(0.5, 0.66)
    p.fill([(-0.86, -0.36, 1), (-0.5, -0.2), (-0.1, 0.06), (0.3, 0.14), (0.1, 0.3), (-0.7, 0.0)], INSIDE, 70)
    p.fill([(-0.9, -0.4, 1), (-0.62, -0.14), (-0.2, 0.16), (0.16, 0.2), (0.42, 0.12), (0.74, 0.26), (0.96, 0.42, 1),
        (0.4, 0.46), (0.02, 0.42), (-0.4, 0.16), (-0.72, 0.0), (-0.9, -0.08)])
    p.fill([(-0.92, -0.2, 1), (-0.66, -0.02), (-0.76, 0.1), (-0.8, h - 0.05, 1), (-0.87, h - 0.05, 1), (-0.9, 0.1)],
        SHADE, 175)
    p.line([(-0.74, 0.02), (-0.4, 0.2), (0.02, 0.45), (0.4, 0.49), (0.95, 0.45)], 0.04, INK, 150)
    if a["trim"]:
        p.disc(0.46, 0.22, 0.07, METAL, 230)
    if a["strap"]:
        p.line([(-0.72, -0.22), (-0.5, -0.3), (-0.26, 0.08)], 0.05, CLOTH, 190)


def boot(p, r, a):
    """An ankle or a knee boot with a block heel."""
    t = r(-0.95, -0.55)
    p.fill([(-0.62, t, 1), (-0.36, t - 0.04), (0.0, t + 0.02, 1), (-0.3, t + 0.06)], INSIDE, 70)
    p.fill([(-0.64, t, 1), (-0.3, t + 0.05), (0.02, t + 0.02, 1), (-0.02, -0.2), (0.0, 0.06), (0.3, 0.26),
        (0.66, 0.38), (0.82, 0.6), (0.8, 0.68, 1), (-0.62, 0.68, 1), (-0.66, 0.3), (-0.58, -0.1)])
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
    p.fill([(-0.66, 0.64, 1), (0.8, 0.64), (0.88, 0.72), (0.8, 0.78), (-0.08, 0.78, 1), (-0.14, 0.92, 1),
        (-0.64, 0.92, 1)], INK, 170)


def sandal(p, r, a):
    """A strappy sandal from the side."""
    p.fill([(-0.9, 0.1, 1), (-0.5, 0.16), (0.0, 0.26), (0.5, 0.24), (0.95, 0.2, 1), (0.98, 0.32), (0.8, 0.38),
        (-0.8, 0.38), (-0.94, 0.26)], RUBBER, 140)
    p.fill([(-0.9, 0.06, 1), (-0.5, 0.12), (0.0, 0.22), (0.5, 0.2), (0.95, 0.16, 1), (0.95, 0.22, 1), (0.0, 0.29),
        (-0.9, 0.16, 1)], LEATHER, 170)
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

        p.fill(at([(-0.02, -0.86), (0.22, -0.76), (0.3, -0.42), (0.22, 0.1), (0.24, 0.5), (0.1, 0.84), (-0.12, 0.84),
            (-0.24, 0.5), (-0.22, 0.0), (-0.28, -0.5), (-0.2, -0.78)]), RUBBER, 120)
        p.fill(at([(-0.02, -0.82), (0.19, -0.72), (0.26, -0.42), (0.18, 0.1), (0.2, 0.5), (0.08, 0.79), (-0.1, 0.79),
            (-0.2, 0.5), (-0.18, 0.0), (-0.24, -0.5), (-0.17, -0.74)]), CLOTH, 150)
        for side in (0.22, -0.2):
            p.line(at([(-0.03, -0.5), (side * 0.75, -0.26), (side, 0.08)]), 0.085, SECOND, 220)
        p.disc(at([(-0.03, -0.5)])[0][0], -0.52, 0.05, SECOND, 235)


def flat(p, r, a):
    """A ballerina shoe: low, open, with a bow."""
    p.fill([(-0.8, -0.04, 1), (-0.3, 0.02), (0.36, 0.02), (0.2, 0.24), (-0.7, 0.24)], INSIDE, 70)
    p.fill([(-0.84, -0.1, 1), (-0.5, 0.12), (0.0, 0.16), (0.3, 0.0, 1), (0.7, 0.06), (0.95, 0.24), (0.9, 0.32, 1),
        (-0.84, 0.32, 1), (-0.88, 0.1)])
    p.line([(-0.86, 0.33), (0.92, 0.33)], 0.05, INK, 150)
    p.fill([(0.34, 0.02), (0.2, -0.1), (0.2, 0.08)], SECOND, 220)
    p.fill([(0.34, 0.02), (0.48, -0.04), (0.46, 0.12)], SECOND, 220)


def handbag(p, r, a):
    """A structured bag with one or two arched handles and a clasp."""
    w, low, h = r(0.62, 0.78), r(0.6, 0.74), r(-0.9, -0.7)
    for y in (0.06, 0.0):
        p.line([(-w * 0.48, -0.1), (-w * 0.42, h + 0.25 - y), (0, h - y), (w * 0.42, h + 0.25 - y), (w * 0.48, -0.1)],
            0.07, SHADE if y else LEATHER, 185)
    p.fill(mirrored([(0, -0.2), (w * 0.86, -0.16, 1), (w, low - 0.12), (w - 0.08, low, 1), (0, low + 0.02)]),
        CLOTH, 150)
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
    p.fill(mirrored([(0, -h), (0.3, -h + 0.03), (w - 0.04, -h + 0.24), (w, 0.1), (w, h - 0.12), (w - 0.1, h),
        (0, h + 0.01)]), CLOTH, 150)
    p.line([(-w + 0.05, -0.1), (-w + 0.1, -0.46), (-0.22, -0.74), (0.22, -0.74), (w - 0.1, -0.46), (w - 0.05, -0.1)],
        0.03, INK, 120)
    p.fill(mirrored([(0, 0.08), (w - 0.14, 0.1, 1), (w - 0.1, h - 0.2), (w - 0.18, h - 0.1), (0, h - 0.08)]),
        SECOND if a["trim"] else CLOTH, 195)
    p.line([(-w + 0.18, 0.22), (0, 0.2), (w - 0.18, 0.22)], 0.035, INK, 140)
    p.line([(0.2, 0.22), (0.22, 0.36)], 0.03, METAL, 220)
    p.fill([(-0.1, -0.4, 1), (0.1, -0.4, 1), (0.1, -0.26, 1), (-0.1, -0.26, 1)], LEATHER, 190)


def clutch(p, r, a):
    """A flat envelope bag with a pointed flap; sometimes a wrist loop."""
    w, h = r(0.82, 0.94), r(0.46, 0.56)
    if a["strap"]:
        p.line([(w - 0.04, -h + 0.12), (w + 0.12, 0.1), (w + 0.02, 0.5), (w - 0.1, 0.2), (w - 0.04, -h + 0.12)],
            0.05, SHADE, 150)
    p.fill(mirrored([(0, -h), (w - 0.03, -h, 1), (w, 0.0), (w - 0.03, h, 1), (0, h + 0.015)]), CLOTH, 150)
    p.fill(mirrored([(0, -h - 0.01), (w, -h - 0.01, 1), (w - 0.02, -h + 0.12), (0.1, 0.16), (0, 0.19)]),
        SHADE if a["trim"] else CLOTH, 205)
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
    rim = ([(0.36, -0.38), (0.4, 0), (0.36, 0.38), (0, 0.42), (-0.36, 0.38), (-0.4, 0), (-0.36, -0.38),
        (0, -0.42)] if square else oval(0, 0, 0.4))
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
        lens = [(gap - rx, -0.1), (gap - rx * 0.5, -ry), (gap + rx * 0.6, -ry * 1.05), (gap + rx, -0.14),
            (gap + rx * 0.55, ry), (gap - rx * 0.3, ry)]
        if a["square"]:
            lens = [(gap - rx, -ry, 1), (gap + rx, -ry * 1.12, 1), (gap + rx * 0.9, ry * 0.5), (gap + rx * 0.5, ry),
                (gap - rx * 0.6, ry), (gap - rx * 0.95, ry * 0.4)]
        p.fill([(s * q[0], *q[1:]) for q in lens], CLOTH, 210)
        p.fill([(s * (gap + (q[0] - gap) * 0.82), q[1] * 0.8, *q[2:]) for q in lens], GLASS, 110)
        p.line([(s * gap - 0.16, 0.08), (s * gap + 0.02, -0.14)], 0.05, PALE, 110)


def cap(p, r, a):
    """A baseball cap from the side, peak to the right."""
    p.fill([(-0.74, 0.26, 1), (-0.76, -0.1), (-0.5, -0.5), (-0.06, -0.62), (0.34, -0.44), (0.48, -0.1), (0.46, 0.2, 1),
        (-0.1, 0.3)], CLOTH, 150)
    p.seam([(-0.08, -0.6), (-0.2, -0.2), (-0.16, 0.28)], 0.022, 80)
    p.seam([(-0.08, -0.6), (0.22, -0.3), (0.3, 0.2)], 0.022, 85)
    p.disc(-0.08, -0.62, 0.05, SHADE, 215)
    p.fill([(0.2, 0.12, 1), (0.5, 0.04), (0.84, 0.14), (0.99, 0.34), (0.7, 0.36), (0.4, 0.3), (0.1, 0.32),
        (-0.04, 0.3, 1)], SECOND if a["trim"] else SHADE, 200)
    p.seam([(0.24, 0.18), (0.6, 0.14), (0.92, 0.3)], 0.016, 120)
    p.disc(0.26, -0.14, 0.12, SECOND, 200)
    p.fill([(-0.76, 0.12, 1), (-0.6, 0.16, 1), (-0.6, 0.3, 1), (-0.75, 0.27, 1)], INK, 120)
    p.disc(-0.36, -0.32, 0.025, INK, 60)


def hat(p, r, a):
    """A brimmed hat with a band."""
    wide, tall = r(0.85, 0.98), r(0.42, 0.58)
    p.fill(oval(0, 0.24, wide, r(0.2, 0.26), 12), SHADE, 130)
    p.fill([(-0.5, 0.2, 1), (-0.46, -0.1), (-0.4, -tall), (-0.16, -tall - 0.1), (0, -tall - 0.02), (0.16, -tall - 0.1),
        (0.4, -tall), (0.46, -0.1), (0.5, 0.2, 1), (0, 0.32)], CLOTH, 185)
    p.fill([(-0.5, 0.04, 1), (0, 0.14), (0.5, 0.04, 1), (0.52, 0.2, 1), (0, 0.32), (-0.52, 0.2, 1)],
        SECOND if a["trim"] else INK, 200)
    p.fill([(-wide, 0.24), (-0.5, 0.2), (0, 0.33), (0.5, 0.2), (wide, 0.24), (0.6, 0.44), (0, 0.52), (-0.6, 0.44)],
        CLOTH, 160)
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
        p.fill([(-0.36, h, 1), (0.04, h, 1), (0.03, 0.3), (0.14, 0.46), (0.42, 0.58), (0.5, 0.74), (0.36, 0.86),
            (-0.02, 0.76), (-0.3, 0.56), (-0.38, 0.3)], CLOTH, 150)
        p.fill([(-0.37, h - 0.02, 1), (0.05, h - 0.02, 1), (0.05, h + 0.16, 1), (-0.37, h + 0.16, 1)],
            SECOND if a["trim"] else SHADE, 180)
        p.fill([(0.26, 0.5, 1), (0.44, 0.6), (0.5, 0.74), (0.36, 0.86), (0.18, 0.82, 1)],
            SECOND if a["trim"] else SHADE, 160)
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
        p.fill([(s * x * 0.4 - 0.15, -0.3, 1), (s * x * 0.4 + 0.15, -0.3, 1), (s * x + 0.2, low, 1),
            (s * x - 0.2, low, 1)], CLOTH, 140 if s < 0 else 165)
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
# fmt: on

# ----------------------------------------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Type:
    """A product type: its place in the tree, how it is drawn, and what it may look like."""

    name: str
    place: str  # master category and sub-category
    draw: object
    nouns: tuple  # for captions; a noun that starts with "pair of" is a plural
    slot: str  # where an outfit has it: torso, legs, feet, whole, head, face, neck, hand, or small
    finishes: tuple = ("cotton",)
    patterns: tuple = ("Solid",)
    genders: tuple = ("Men", "Women", "Unisex")
    seasons: tuple = ("Summer", "Fall", "Winter", "Spring")
    usages: tuple = ("Casual",)
    sleeves: tuple = ("",)
    necklines: tuple = ("",)
    turn: float = 18.0  # degrees either way
    zoom: float = 1.0
    unseen: bool = False

    @property
    def category(self):
        return self.place.split("/")[0]

    @property
    def subcategory(self):
        return self.place.split("/")[1]


ANY = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage")
CALM = ("Solid", "Solid", "Striped", "Checked", "Colour Blocked")
PLAIN_OR = ("Solid", "Solid", "Striped", "Checked")
WOMEN, MILD, COLD = ("Women", "Women", "Girls"), ("Summer", "Spring"), ("Fall", "Winter")
SMART, SPORTY, FESTIVE = ("Casual", "Formal"), ("Casual", "Sports"), ("Casual", "Party")
LONG = ("Long Sleeves",)

# fmt: off
TYPES = {t.name: t for t in (Type("Tshirts", "Apparel/Topwear", tshirt, ("T-shirt", "tee"),
    "torso", patterns=(*ANY, "Colour Blocked", "Printed", "Printed"), usages=SPORTY, sleeves=("Short Sleeves",),
    necklines=("Crew Neck", "V-Neck", "Scoop Neck", "Polo Collar")),
    Type("Shirts", "Apparel/Topwear", shirt, ("shirt", "button-down shirt"),
    "torso", patterns=("Solid", "Striped", "Checked", "Dotted", "Floral"),
    usages=SMART, sleeves=(*LONG, *LONG, *LONG, "Short Sleeves"), necklines=("Shirt Collar",)),
    Type("Tops", "Apparel/Topwear", top, ("camisole", "strappy top"), "torso", ("cotton", "shiny"),
    ANY, WOMEN, MILD, FESTIVE, ("Sleeveless",), ("Scoop Neck",), zoom=1.2),
    Type("Sweatshirts", "Apparel/Topwear", sweatshirt, ("hoodie", "hooded sweatshirt"), "torso", ("cotton", "fleece"),
    (*CALM, "Camouflage"), seasons=COLD, usages=SPORTY, sleeves=LONG, necklines=("Hooded",), zoom=0.95),
    Type("Sweaters", "Apparel/Topwear", sweater, ("sweater", "jumper", "pullover"), "torso", ("knit",),
    ("Solid", "Striped", "Zigzag", "Dotted", "Colour Blocked"),
    seasons=COLD, sleeves=LONG, necklines=("Turtleneck", "Crew Neck", "V-Neck"), zoom=0.95),
    Type("Jackets", "Apparel/Topwear", jacket, ("jacket", "open jacket"), "torso", ("leather", "cotton", "denim"),
    (*PLAIN_OR, "Camouflage"), seasons=COLD, usages=SMART, sleeves=LONG, necklines=("Lapel Collar",), zoom=0.95),
    Type("Jeans", "Apparel/Bottomwear", jeans, ("pair of jeans", "pair of denims"), "legs", ("denim",)),
    Type("Trousers", "Apparel/Bottomwear", trousers, ("pair of trousers", "pair of pants"),
    "legs", patterns=PLAIN_OR, usages=SMART), Type("Shorts", "Apparel/Bottomwear", shorts, ("pair of shorts",
    "pair of short trousers"), "legs", patterns=ANY, seasons=MILD, usages=SPORTY, zoom=1.15),
    Type("Skirts", "Apparel/Bottomwear", skirt, ("skirt", "flared skirt"), "legs", ("cotton", "shiny"),
    ANY, WOMEN, usages=FESTIVE, zoom=1.1), Type("Dresses", "Apparel/Dress", dress, ("dress", "frock"),
    "whole", ("cotton", "shiny"), ANY, WOMEN, (*MILD, "Fall"),
    FESTIVE, ("Sleeveless", "Short Sleeves", "Long Sleeves"), ("Scoop Neck",)),
    Type("Casual Shoes", "Footwear/Shoes", shoe_pair(casual_shoe), ("pair of sneakers", "pair of trainers"),
    "feet", ("cotton", "leather"), ("Solid", "Solid", "Checked", "Dotted", "Camouflage"), usages=SPORTY, turn=25),
    Type("Formal Shoes", "Footwear/Shoes", shoe_pair(formal_shoe), ("pair of lace-up shoes", "pair of dress shoes"),
    "feet", ("leather", "patent"), genders=("Men", "Women"), usages=("Formal",), turn=25),
    Type("Heels", "Footwear/Shoes", shoe_pair(heel), ("pair of high heels", "pair of pumps"),
    "feet", ("patent", "leather"), ("Solid", "Solid", "Dotted", "Floral", "Striped"),
    WOMEN, usages=("Party", "Formal"), turn=25), Type("Boots", "Footwear/Shoes", shoe_pair(boot),
    ("pair of boots", "pair of leather boots"), "feet", ("leather",), seasons=COLD, turn=20),
    Type("Sandals", "Footwear/Sandal", shoe_pair(sandal), ("pair of sandals", "pair of strappy sandals"),
    "feet", ("leather",), ("Solid", "Solid", "Striped"), seasons=MILD, turn=25),
    Type("Flip Flops", "Footwear/Flip Flops", flip_flops, ("pair of flip-flops", "pair of beach slippers"),
    "feet", ("rubber",), ANY, seasons=("Summer",), turn=60),
    Type("Handbags", "Accessories/Bags", handbag, ("handbag", "bag with handles"), "hand", ("leather", "cotton"),
    (*CALM, "Dotted", "Floral", "Zigzag"), WOMEN, usages=FESTIVE),
    Type("Backpacks", "Accessories/Bags", backpack, ("backpack", "rucksack"), "hand", ("cotton", "leather"),
    (*ANY, "Solid"), usages=SPORTY), Type("Clutches", "Accessories/Bags", clutch, ("clutch", "envelope bag"),
    "hand", ("leather", "shiny"), ANY, WOMEN, usages=FESTIVE, turn=30),
    Type("Watches", "Accessories/Watches", watch, ("watch", "wristwatch"), "small", ("leather",),
    ("Solid", "Solid", "Striped"), usages=SMART, turn=70),
    Type("Sunglasses", "Accessories/Eyewear", sunglasses, ("pair of sunglasses", "pair of shades"),
    "face", ("patent",), ("Solid", "Solid", "Camouflage", "Dotted"), seasons=MILD, turn=35),
    Type("Caps", "Accessories/Headwear", cap, ("cap", "baseball cap"),
    "head", patterns=(*CALM, "Camouflage", "Dotted"), seasons=MILD, usages=SPORTY, turn=25),
    Type("Hats", "Accessories/Headwear", hat, ("hat", "brimmed hat"), "head", ("fleece", "cotton"), PLAIN_OR, turn=25),
    Type("Belts", "Accessories/Belts", belt, ("belt", "waist belt"), "small", ("leather",),
    ("Solid", "Solid", "Striped"), usages=SMART, turn=60), Type("Ties", "Accessories/Ties", tie, ("tie", "necktie"),
    "small", ("shiny",), ("Solid", "Striped", "Checked", "Dotted", "Zigzag"), ("Men",), usages=("Formal",), turn=50),
    Type("Socks", "Accessories/Socks", socks, ("pair of socks", "pair of knitted socks"), "small", ("knit",),
    ("Solid", "Striped", "Dotted", "Zigzag", "Checked"), turn=35),
    Type("Scarves", "Accessories/Scarves", scarf, ("scarf", "fringed scarf"), "neck", ("knit", "cotton"),
    ("Solid", "Striped", "Checked", "Dotted", "Floral"), seasons=COLD, turn=25),
    Type("Waistcoat", "Apparel/Topwear", waistcoat, ("waistcoat", "vest"),
    "torso", patterns=PLAIN_OR, genders=("Men",), usages=("Formal",), sleeves=("Sleeveless",), necklines=("V-Neck",),
    zoom=1.15, unseen=True), Type("Jumpsuit", "Apparel/Dress", jumpsuit, ("jumpsuit", "one-piece suit"),
    "whole", patterns=ANY, genders=WOMEN, sleeves=("Sleeveless",), necklines=("Scoop Neck",), unseen=True),
    Type("Flats", "Footwear/Shoes", shoe_pair(flat), ("pair of ballerinas", "pair of flats"), "feet", ("leather",),
    ("Solid", "Dotted", "Floral"), WOMEN, turn=25, unseen=True),
    Type("Trolley Bag", "Accessories/Bags", trolley, ("trolley bag", "wheeled suitcase"), "hand", ("patent", "rubber"),
    ("Solid", "Striped", "Dotted"), usages=("Travel",), unseen=True),
    Type("Gloves", "Accessories/Gloves", gloves, ("pair of gloves", "pair of finger gloves"),
    "small", ("knit", "leather"), ("Solid", "Striped", "Zigzag"), seasons=COLD, turn=40, unseen=True),
    Type("Umbrellas", "Accessories/Umbrellas", umbrella, ("umbrella", "rain umbrella"), "head", ("shiny",),
    ANY, seasons=("Fall", "Spring"), turn=30, unseen=True))}
SEEN = [t.name for t in TYPES.values() if not t.unseen]
UNSEEN = [t.name for t in TYPES.values() if t.unseen]
MASK_VALUE = {name: value for value, name in enumerate(TYPES, start=1)}  # 0 is the background

COLOURS = {  # the fashion data set's names: sRGB, and the words that a caption may use
    "Black": ((38, 38, 42), ("black",)), "White": ((236, 235, 230), ("white", "off-white")),
    "Grey": ((136, 139, 143), ("grey",)), "Navy Blue": ((34, 46, 92), ("navy blue", "navy", "dark blue")),
    "Blue": ((52, 108, 190), ("blue",)), "Turquoise Blue": ((42, 164, 172), ("turquoise", "teal")),
    "Green": ((52, 136, 72), ("green",)), "Olive": ((112, 116, 58), ("olive", "olive green")),
    "Yellow": ((234, 196, 58), ("yellow",)), "Orange": ((230, 126, 44), ("orange",)),
    "Red": ((200, 40, 46), ("red", "bright red")), "Maroon": ((112, 30, 48), ("maroon", "dark red")),
    "Pink": ((232, 138, 172), ("pink",)), "Purple": ((118, 74, 152), ("purple",)),
    "Brown": ((116, 76, 48), ("brown",)), "Beige": ((214, 192, 156), ("beige", "sand-coloured")),
}
DENIM = ("Blue", "Blue", "Navy Blue", "Black", "Grey", "White", "Olive", "Maroon")
PATTERNS = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Colour Blocked", "Printed")
FINISHES = {  # gloss, grain (how much the surface varies), kind of grain
    "cotton": (0.0, 10, "speckle"), "denim": (0.0, 26, "twill"), "knit": (0.0, 26, "rib"),
    "fleece": (0.0, 18, "speckle"), "leather": (0.45, 10, "speckle"), "shiny": (0.35, 4, "speckle"),
    "patent": (0.8, 3, "speckle"), "rubber": (0.15, 4, "speckle"),
}
BACKGROUNDS = {  # how often
    "Plain": 0.26, "Gradient": 0.14, "Wood": 0.1, "Tiles": 0.1, "Fabric": 0.08, "Shapes": 0.08, "Shelf": 0.08,
    "Bokeh": 0.08, "Marble": 0.08,
}
# fmt: on

# --------------------------------------------------------------------------------------------------------------- plans


@dataclass
class Look:
    """One product of an image: its attributes, and the details that shape it."""

    type: str
    gender: str
    colour: str
    season: str
    usage: str
    pattern: str
    sleeve: str
    neckline: str
    finish: str
    second: str  # the colour of patterns and trimmings
    a: dict = field(default_factory=dict)


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


_DETAILS = ("trim", "pocket", "frill", "zip", "cable", "strap", "flap", "metal", "square", "faded")


def _look(rng, type_name, gender=None):
    t = TYPES[type_name]
    finish = _pick(rng, t.finishes)
    colour = _pick(rng, DENIM if finish == "denim" else list(COLOURS))
    brightness = sum(COLOURS[colour][0])
    second = _pick(rng, [c for c, (rgb, _) in COLOURS.items() if abs(sum(rgb) - brightness) > 130])
    look = Look(
        type_name, gender if gender in t.genders else _pick(rng, t.genders), colour, _pick(rng, t.seasons),
        _pick(rng, t.usages), _pick(rng, t.patterns), _pick(rng, t.sleeves), _pick(rng, t.necklines), finish, second,
    )  # fmt: skip
    look.a = {name: bool(rng.random() < 0.5) for name in _DETAILS}
    look.a |= {"sleeve": look.sleeve, "neckline": look.neckline, "dark": brightness < 330}
    look.a |= {"layout": int(rng.integers(3)), "tall": -0.2 - 0.6 * float(rng.random())}
    look.a |= {"frequency": 0.75 + 0.75 * float(rng.random()), "lay": int(rng.integers(4))}
    look.a |= {"duty": 0.3 + 0.35 * float(rng.random()), "phase": float(rng.random())}
    return look


# Where the products of a flat-lay lie, and where a figure wears them: x, y, unit, all in image widths.
_LAID = {
    2: ((0.29, 0.48, 0.28), (0.73, 0.53, 0.25)),
    3: ((0.29, 0.34, 0.27), (0.74, 0.28, 0.21), (0.62, 0.74, 0.23)),
    4: ((0.27, 0.29, 0.24), (0.74, 0.27, 0.21), (0.26, 0.76, 0.19), (0.73, 0.74, 0.23)),
    5: ((0.24, 0.28, 0.22), (0.66, 0.23, 0.18), (0.2, 0.77, 0.17), (0.54, 0.71, 0.19), (0.85, 0.62, 0.15)),
}
_WORN = {
    "legs": (0.5, 0.655, 0.24), "torso": (0.5, 0.36, 0.225), "whole": (0.5, 0.48, 0.31), "feet": (0.5, 0.92, 0.085),
    "neck": (0.5, 0.29, 0.13), "face": (0.5, 0.115, 0.085), "head": (0.5, 0.07, 0.11), "hand": (0.8, 0.62, 0.14),
}  # fmt: skip
_OVER = ("legs", "feet", "whole", "torso", "neck", "face", "head", "hand")  # what is worn over what


@dataclass
class Plan:
    """All that an image shows: products from the lowest to the topmost, how they lie, and the scene."""

    looks: list
    kind: str
    worn: bool
    background: str


def _plan(rng, type_name, kind):
    background = list(BACKGROUNDS)[int(rng.choice(len(BACKGROUNDS), p=list(BACKGROUNDS.values())))]
    first = _look(rng, type_name)
    if kind == "single":
        return Plan([first], kind, False, background)
    slot, unseen = TYPES[type_name].slot, TYPES[type_name].unseen
    wanted = 2 + int(rng.choice(4, p=(0.3, 0.35, 0.2, 0.15)))
    worn = bool(rng.random() < 0.5) and slot != "small" and not unseen
    gender = first.gender if first.gender in ("Men", "Women") else _pick(rng, ("Men", "Women"))
    pool = [TYPES[name] for name in (UNSEEN if unseen else SEEN)]
    pool = [t for t in pool if (gender in t.genders or "Unisex" in t.genders) and not (worn and t.slot == "small")]
    looks, taken = [first], {slot}
    order = [pool[i] for i in rng.permutation(len(pool))]
    if worn and slot not in ("torso", "whole"):  # a figure is dressed
        order.sort(key=lambda t: t.slot not in ("torso", "whole"))
    for t in order:
        clash = t.slot in taken or ("whole" in (t.slot, *taken) and {"torso", "legs"} & {t.slot, *taken})
        if len(looks) < wanted and (not clash or t.slot == "small") and t.name not in [x.type for x in looks]:
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
    """Which colour (0 base, 1 second, 2 between) a pattern has at u, v: uint8 of their shape.

    frequency: how fine; lay (0..3): which way it runs; duty: the second colour's share; phase (0..1): where it begins.

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


def _shaded(rgb, factor):
    return tuple(int(min(255, max(0, round(c * factor)))) for c in rgb)


@dataclass
class Surface:
    """How the parts of a product look: the colour of every material, and pattern and finish of the cloth."""

    colours: np.ndarray  # uint8 (16, 3), by material
    tones: np.ndarray  # uint8 (3, 3): the colours of the pattern
    finish: str = "rubber"
    pattern: str = "Solid"
    lie: dict = field(default_factory=dict)  # how the pattern lies, for `pattern_map`


def _surface(rng, look):
    """Surface of a product: its base colour, varied a little, and what goes with it."""
    names = (look.colour, look.second)
    base, second = (tuple(int(np.clip(c + rng.integers(-16, 17), 0, 255)) for c in COLOURS[x][0]) for x in names)
    between = tuple((x + y) // 2 for x, y in zip(base, second, strict=True))
    colours = {
        CLOTH: base,
        PLAIN: base,
        SHADE: (66, 66, 70) if look.colour == "Black" else _shaded(base, 0.74),
        INSIDE: _shaded(base, 0.45),
        SECOND: second,
        WHITE: (240, 239, 234),
        INK: (40, 38, 40),
        METAL: _pick(rng, ((196, 198, 204), (206, 170, 92), (120, 122, 128))),
        RUBBER: _pick(rng, ((232, 230, 224), (60, 58, 58), (190, 150, 100), (236, 236, 236))),
        LEATHER: _pick(rng, ((92, 58, 36), (44, 38, 36), (152, 106, 66))),
        GLASS: _pick(rng, ((40, 44, 50), (64, 48, 40), (36, 58, 84))),
        THREAD: (206, 148, 72),
        PALE: tuple(min(255, c + 34) for c in base),
    }
    table = np.zeros((16, 3), np.uint8)
    table[list(colours)] = list(colours.values())
    tones = np.array([base, second, _shaded(base, 0.6) if look.pattern == "Camouflage" else between], np.uint8)
    lie = {k: look.a[k] for k in ("frequency", "lay", "duty", "phase")}
    return Surface(table, tones, look.finish, look.pattern, lie)


def _painted(*tones):
    """Surface of a prop, with colours for the materials CLOTH, PLAIN, SHADE, INSIDE."""
    table = np.zeros((16, 3), np.uint8)
    table[1 : 1 + len(tones)] = tones
    return Surface(table, table[1:4])


_GLOSSY = {METAL: 0.9, GLASS: 0.9, LEATHER: 0.4}


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


class Scene:
    """An image in the making: a canvas, which product owns each of its pixels, and the light.

    `ground` is a kind in BACKGROUNDS, or None for a pale studio in even white light. Nothing here draws more random
    numbers for a larger image, so a scene is the same at every size.
    """

    def __init__(self, rng, ground, size):
        angle = -2.7 + 2.26 * rng.random()  # from above
        self.light = (math.cos(angle), math.sin(angle))
        self.gain, self.warmth = np.float32(0.78 + 0.34 * rng.random()), np.float32(0.2 * rng.random() - 0.1)
        self.slope = np.float32(0.32 * rng.random() - 0.16)
        if ground is None:  # a studio: even white light
            self.gain, self.warmth, self.slope = np.float32(1), np.float32(0), np.float32(0)
        self.speckle = rng.integers(-128, 128, (256, 256), dtype=np.int8)
        self.size, self.side = size, size * OVERSAMPLE
        image = (
            Image.new("RGB", (1, 1), (226, 226, 226)) if ground is None else _background(rng, ground, self.side // 2)
        )
        self.canvas = np.array(image.resize((self.side, self.side), Image.Resampling.BILINEAR))  # a little out of focus
        self.owner = np.zeros((self.side, self.side), np.uint8)

    def pen(self, x, y, unit, *turned):
        """A pen for a product at x, y with this unit, all in image widths; `turned`: further arguments of `pose`."""
        return Pen(self.side, pose((x * self.side, y * self.side), unit * self.side, *turned))

    def hides_too_much(self, pen, most=0.2):
        """Whether what `pen` drew would cover more than this share of what is seen of any product."""
        before = np.bincount(self.owner.ravel(), minlength=len(MASK_VALUE) + 1)
        covered = np.bincount(self.owner[np.asarray(pen.material) > 0], minlength=len(MASK_VALUE) + 1)
        return bool((covered[1:] > most * before[1:]).any())

    def lay(self, rng, pen, surface, value=0, shadow=102):
        """Lay what `pen` drew on top, with its shadow (of 256); its pixels belong to `value`, a product's or 0."""
        left, top_, right, low = pen.material.getbbox()
        pad = self.side // 16
        box = (max(0, left - pad), max(0, top_ - pad), min(self.side, right + pad), min(self.side, low + pad))
        window = (slice(box[1], box[3]), slice(box[0], box[2]))
        material, unit = np.asarray(pen.material.crop(box)), pen.pose.unit
        silhouette = Image.fromarray((material > 0).astype(np.uint8) * 255)
        broad = np.asarray(silhouette.filter(ImageFilter.GaussianBlur(max(2.0, unit * 0.07))))
        fine = np.asarray(pen.height.crop(box).filter(ImageFilter.GaussianBlur(max(1.0, unit * 0.014))))
        cast = _shift(broad, *(-c * self.side * 0.022 for c in self.light))[..., None]
        under = self.canvas[window]
        under -= (under.astype(np.uint32) * cast * shadow >> 16).astype(np.uint8)

        rows, columns = np.nonzero(material)  # from here on, only the pixels of the product: (n,)
        made_of = material[rows, columns]
        ridge = self._rise(fine, max(1.0, unit * 0.012))[rows, columns]
        bulge = self._rise(broad, unit * 0.06)[rows, columns]
        drape = _noise(rng, material.shape, (4, 3))[rows, columns].astype(np.float32) - 128
        shade = 1 - ridge * np.float32(0.0042) - bulge * np.float32(0.0012) + drape * np.float32(0.0008)
        shade *= np.float32(0.72) + broad[rows, columns] * np.float32(0.29 / 255)  # darker towards the edge

        gloss, grain, weave = FINISHES[surface.finish]
        colours = surface.colours[made_of]
        texture = self.speckle[rows % 256, columns % 256] * np.float32(1 / 128)
        if surface.pattern != "Solid" or weave != "speckle":
            u, v = pen.pose.own_coordinates(columns + np.float32(box[0]), rows + np.float32(box[1]))
        if surface.pattern != "Solid":
            warp = (fine[rows, columns] - np.float32(150)) * np.float32(0.0006)  # folds carry the pattern along
            index = pattern_map(surface.pattern, u + warp, v + warp, **surface.lie)
            colours = np.where((made_of == CLOTH)[:, None], surface.tones[index], colours)
        if weave == "rib":
            rib = _zigzag(u * 16)
            texture = (2 * rib - 1) * (np.float32(0.6) + np.float32(0.4) * _zigzag(v * 22 + rib))
        elif weave == "twill":
            texture = texture * np.float32(0.5) + _zigzag((u + v) * 18) - np.float32(0.5)
        shade += texture * np.float32(grain / 255)
        glossy = np.full(16, gloss, np.float32)
        glossy[list(_GLOSSY)] = list(_GLOSSY.values())
        shine = np.clip(-ridge - bulge * np.float32(0.3) - 14, 0, 60) * glossy[made_of] * np.float32(2.6)
        colours = colours * shade[:, None] + shine[:, None]
        glass = made_of == GLASS
        colours[glass] = colours[glass] * np.float32(0.78) + under[rows[glass], columns[glass]] * np.float32(0.22)
        under[rows, columns] = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
        self.owner[window][rows, columns] = value

    def _rise(self, surface, reach):
        """How much a surface (uint8) rises away from the light, over twice `reach` pixels: float32."""
        x, y = (round(c * reach) for c in self.light)
        if x == y == 0:
            y = -1
        return (_shift(surface, x, y).astype(np.int16) - _shift(surface, -x, -y)).astype(np.float32)

    def develop(self):
        """Image uint8 (size, size, 3), in its light and with a sensor's grain; and mask uint8 (size, size)."""
        image = np.asarray(Image.fromarray(self.canvas).reduce(OVERSAMPLE)).astype(np.float32)
        across = np.arange(self.size, dtype=np.float32) / np.float32(self.size) - np.float32(0.5)
        ramp = across[None, :] * np.float32(self.light[0]) + across[:, None] * np.float32(self.light[1])
        image *= (self.gain * (1 + 2 * self.slope * ramp))[..., None] * np.array([1 + self.warmth, 1, 1 - self.warmth])
        image += np.resize(self.speckle // 37, (self.size, self.size))[..., None]
        centre = OVERSAMPLE // 2
        mask = self.owner[centre::OVERSAMPLE, centre::OVERSAMPLE]
        return np.rint(np.clip(image, 0, 255)).astype(np.uint8), np.ascontiguousarray(mask)


# ----------------------------------------------------------------------------------------------------------- background


def _background(rng, kind, side):
    """The ground of a kind in BACKGROUNDS, a picture of side x side pixels."""
    tones = [COLOURS[_pick(rng, list(COLOURS))][0] for _ in range(4)]  # the products' colours, so that they mislead
    neutral = _pick(rng, _NEUTRAL)
    mixed = tuple((2 * n + t) // 3 for n, t in zip(neutral, tones[0], strict=True))
    ground = _pick(rng, (neutral, neutral, mixed) if kind == "Plain" else (neutral, mixed, tones[0]))
    image = _GROUNDS[kind](rng, side, ground, tones).astype(np.float32)
    mottle = (_noise(rng, (side, side), (3, 3)).astype(np.float32) - 128) * np.float32(0.08)
    return Image.fromarray(np.rint(np.clip(image + mottle[..., None], 0, 255)).astype(np.uint8))


_NEUTRAL = ((238, 238, 236), (222, 218, 210), (200, 204, 208), (246, 244, 240), (176, 172, 168))
_WOODS = ((164, 116, 72), (120, 82, 54), (206, 172, 128), (150, 140, 128), (88, 62, 46))


def _plain(rng, side, ground, tones):
    return np.full((side, side, 3), ground, np.float32)


def _gradient(rng, side, ground, tones):
    ramp = np.arange(side, dtype=np.float32)[:, None] / np.float32(side)
    around = np.abs(ramp - np.float32(0.5)) + np.abs(ramp.T - np.float32(0.5))
    ramp = around if rng.random() < 0.5 else ramp + np.zeros((1, side), np.float32)
    start, end = np.array(ground, np.float32), np.array(_pick(rng, (tones[1], _shaded(ground, 0.6))), np.float32)
    return start + (end - start) * ramp[..., None]


def _wood(rng, side, ground, tones):
    planks, lengthwise = int(rng.integers(3, 7)), rng.random() < 0.5
    tone = np.zeros((side, 1), np.float32)
    for i in range(planks):
        top_ = i * side // planks
        tone[top_ : (i + 1) * side // planks] = float(rng.integers(-24, 25))
        tone[top_ : top_ + max(1, side // 90)] = -70  # the gap
    tone = tone + (_noise(rng, (side, side), (3, 40)).astype(np.float32) - 128) * np.float32(0.22)
    wood = np.array(_pick(rng, _WOODS), np.float32) + tone[..., None]
    return wood if lengthwise else wood.transpose(1, 0, 2)


def _turned(rng, side):
    """Coordinates u, v (side, side) of a surface turned by any angle."""
    across = np.arange(side, dtype=np.float32)
    where = pose((side / 2, side / 2), side / 2, float(rng.random() * 90))
    return where.own_coordinates(across[None, :], across[:, None])


def _tiles(rng, side, ground, tones):
    u, v = (x * np.float32(rng.integers(2, 5)) for x in _turned(rng, side))
    i, j = np.floor(u), np.floor(v)
    tiles = np.array([ground, tones[1]], np.float32)[((i + j) % 2 == 0) * int(rng.random() < 0.4)]
    tiles = tiles + (_cell_noise(i, j, int(rng.integers(1000))) - np.float32(0.5))[..., None] * 50
    return np.where(((_frac(u) < 0.05) | (_frac(v) < 0.05))[..., None], np.float32(90), tiles)


def _cloth(rng, side, ground, tones):
    u, v = _turned(rng, side)
    kind = _pick(rng, ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Solid"))
    index = pattern_map(kind, u, v, 0.4 + float(rng.random()), int(rng.integers(4)), 0.5)
    between = tuple((x + y) // 2 for x, y in zip(ground, tones[1], strict=True))
    crumple = (_noise(rng, (side, side), (5, 5)).astype(np.float32) - 128) * np.float32(0.0016) + 1
    weave = (_noise(rng, (side, side), (96, 96)).astype(np.float32) - 128) * np.float32(0.1)
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
        pencil.polygon([tuple(q) for q in (points + side // 60).tolist()], fill=_shaded(ground, 0.7))
        pencil.polygon([tuple(q) for q in points.tolist()], fill=_shaded(_pick(rng, tones), 0.6 + 0.6 * rng.random()))
    return np.asarray(image)


def _shelf(rng, side, ground, tones):
    image = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(image)
    for level in range(int(rng.integers(2, 4))):
        x, low = 0.0, side * (0.2 + 0.32 * level + 0.1 * rng.random())
        while x < 1:
            width, tall, brightness, there = (float(q) for q in rng.random(4))
            width, tone = 0.04 + 0.1 * width, _shaded(_pick(rng, tones), 0.6 + 0.5 * brightness)
            if there < 0.7:
                box = [round(q) for q in (x * side, low - (0.08 + 0.2 * tall) * side, (x + width) * side, low)]
                pencil.rounded_rectangle(box, radius=side // 60, fill=tone)
                pencil.line((box[0] + 2, box[1] + 3, box[0] + 2, box[3] - 3), fill=_shaded(tone, 1.3))
            x += width + 0.015
        pencil.rectangle((0, round(low), side, round(low + side / 24)), fill=(132, 98, 66))
        pencil.rectangle((0, round(low + side / 24), side, round(low + side / 17)), fill=_shaded(ground, 0.6))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side * 0.006)))


def _bokeh(rng, side, ground, tones):
    image = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(14, 30))):
        x, y, radius = rng.random() * side, rng.random() * side, (0.02 + 0.09 * rng.random()) * side
        box = tuple(round(q) for q in (x - radius, y - radius, x + radius, y + radius))
        pencil.ellipse(box, fill=_shaded(_pick(rng, tones), 0.8 + 0.5 * rng.random()))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side * 0.02)))


def _marble(rng, side, ground, tones):
    large, small = (_noise(rng, (side, side), (n, n)).astype(np.int16) - 128 for n in (5, 13))
    veins = np.clip(38 - 4 * np.abs(large + small // 3), 0, 38) + np.clip(14 - np.abs(large - 40 + small // 2), 0, 14)
    return _plain(rng, side, ground, tones) - veins[..., None]


# fmt: off
_GROUNDS = {"Plain": _plain, "Gradient": _gradient, "Wood": _wood, "Tiles": _tiles, "Fabric": _cloth,
    "Shapes": _shapes, "Shelf": _shelf, "Bokeh": _bokeh, "Marble": _marble}


# ----------------------------------------------------------------------------------------------------- props and figure
# As with products: each function draws one thing with pen `p`; of its materials, `_PROPS` has the colours.


def _price_tag(p, r):
    p.line([(-0.9, -0.9), (-0.3, -0.5), (0, -0.3)], 0.05, SHADE, 200)
    p.fill([(0, -0.5, 1), (0.4, -0.3, 1), (0.4, 0.8, 1), (-0.4, 0.8, 1), (-0.4, -0.3, 1)], CLOTH, 220)
    p.disc(0, -0.3, 0.09, SHADE, 80)
    for i, x in enumerate((-0.28, -0.2, -0.08, 0.0, 0.06, 0.18, 0.26)):
        p.line([(x, 0.4), (x, 0.7)], 0.03 + 0.03 * (i % 2), INSIDE, 220)
    p.line([(-0.26, 0.0), (0.26, 0.0)], 0.1, PLAIN, 220)
    p.line([(-0.26, 0.18), (0.1, 0.18)], 0.07, INSIDE, 220)


def _fingers(p, r):
    p.fill([(-0.5, 5, 1), (-0.55, 1.5), (-0.78, 0.4), (-0.7, 0), (0.6, 0), (0.66, 0.5), (0.45, 1.5), (0.5, 5, 1)],
        CLOTH, 150)
    for i, (x, y) in enumerate(((-0.62, -0.5), (-0.22, -0.8), (0.18, -0.76), (0.55, -0.45))):
        p.line([(x * 0.9, 0.5), (x, y)], 0.34, CLOTH, 160 + 12 * i)
        p.disc(x, y, 0.17, CLOTH, 160 + 12 * i)
        p.disc(x, y - 0.04, 0.09, PLAIN, 200)
    p.line([(-0.6, 0.8), (-1.0, 0.4), (-1.1, 0.1)], 0.34, CLOTH, 190)
    p.disc(-1.1, 0.1, 0.17, CLOTH, 190)


def _leaf(p, r):
    for side in (-1, 1):
        for y in (-0.7, -0.35, 0.0, 0.35):
            p.fill([(0, y + 0.3), (side * 0.3, y + 0.02), (side * 0.75, y - 0.25, 1), (side * 0.5, y + 0.2)],
                CLOTH if side > 0 else SHADE, 160)
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
    points = [(x * (1.0 if i % 2 else 0.82), y * (1.0 if i % 2 else 0.82),
        1) for i, (x, y) in enumerate(oval(0, 0, 0.8, n=24))]
    p.fill(points, CLOTH, 200)
    p.disc(0, 0, 0.52, PLAIN, 200)
    p.line([(-0.26, 0.26), (0.26, -0.26)], 0.1, CLOTH, 200)
    p.disc(-0.2, -0.16, 0.1, CLOTH, 200)
    p.disc(0.2, 0.16, 0.1, CLOTH, 200)


_PROPS = {  # drawing, size in image widths, palettes
    _price_tag: (
        0.13,
        (
            ((248, 246, 238), (200, 40, 46), (90, 80, 70), (40, 40, 40)),
            ((236, 206, 90), (40, 40, 40), (90, 80, 70), (60, 50, 40)),
        ),
    ),
    _fingers: (
        0.15,
        (
            ((224, 178, 148), (242, 206, 186), (200, 150, 120)),
            ((146, 98, 70), (196, 150, 124), (120, 80, 56)),
            ((96, 64, 48), (150, 112, 94), (70, 46, 36)),
        ),
    ),
    _leaf: (0.2, (((70, 130, 66), (120, 96, 60), (52, 104, 56)), ((150, 120, 60), (110, 84, 50), (120, 92, 48)))),
    _ribbon: (0.2, (((200, 50, 60),), ((60, 90, 160),), ((232, 228, 220),), ((40, 40, 44),))),
    _cup: (
        0.12,
        (
            ((240, 238, 232), (226, 222, 214), (180, 180, 180), (84, 52, 32)),
            ((70, 110, 120), (236, 234, 228), (90, 90, 90), (84, 52, 32)),
        ),
    ),
    _badge: (0.1, (((206, 44, 48), (246, 244, 236)), ((40, 110, 80), (246, 240, 220)), ((240, 200, 60), (60, 50, 40)))),
}


def _hanger(p, r):
    p.line([(0.0, -0.8), (0.02, -0.94), (0.12, -1.02), (0.1, -1.16), (-0.02, -1.18), (-0.08, -1.08)],
        0.045, PLAIN, 160)
    p.line([(-0.44, -0.6), (0, -0.82), (0.44, -0.6)], 0.08, CLOTH, 160)


def _mannequin(p, r):
    """A simple figure, in image widths from the centre."""
    p.fill(oval(0, -0.385, 0.052, 0.075), CLOTH, 160)
    p.fill([(-0.022, -0.33, 1), (0.022, -0.33, 1), (0.03, -0.26), (-0.03, -0.26)], CLOTH, 140)
    p.fill(mirrored([(0, -0.3), (0.05, -0.285), (0.095, -0.26), (0.088, -0.12), (0.07, -0.06), (0.085, 0.06),
        (0.09, 0.1, 1), (0.0, 0.12, 1)]), CLOTH, 150)
    both(p.fill, [(0.09, -0.26), (0.115, -0.14), (0.15, 0.06), (0.165, 0.1), (0.145, 0.11), (0.115, 0.05),
        (0.07, -0.14)], CLOTH, 145)
    both(p.fill, [(0.0, 0.08, 1), (0.09, 0.08, 1), (0.09, 0.24), (0.1, 0.43, 1), (0.055, 0.43, 1), (0.045, 0.26),
        (0.006, 0.12)], CLOTH, 150)


# fmt: on


def _render(rng, plan, size, bare=False):
    """Image uint8 (size, size, 3) and mask uint8 (size, size) of a plan; `bare`: on a pale ground, nothing in front."""

    def r(low, high):
        return low + (high - low) * float(rng.random())

    scene = Scene(rng, None if bare else plan.background, size)
    if plan.worn:
        figure = scene.pen(0.5, 0.5, 1.0)
        _mannequin(figure, r)
        tone = _pick(rng, ((232, 226, 216), (202, 172, 146), (150, 146, 142), (236, 236, 236), (126, 92, 70)))
        scene.lay(rng, figure, _painted(tone))
    for look, (place, details) in zip(plan.looks, _places(rng, r, plan), strict=True):
        t, still = TYPES[look.type], 0.0 if plan.worn else 1.0
        tilt, shear = (still * r(-0.1, 0.1), still * r(-0.12, 0.12)), still * r(-0.11, 0.11)
        place = (*place, shear, r(0.9, 1.08), rng.random() < 0.5, tilt, r(-0.05, 0.05))
        if t.slot == "torso" and still and not bare and rng.random() < 0.3:
            pen = scene.pen(*place)
            _hanger(pen, r)
            scene.lay(rng, pen, _painted((150, 110, 70), (180, 180, 184)))
        pen = scene.pen(*place)
        t.draw(pen, r, look.a | details)
        scene.lay(rng, pen, _surface(rng, look), MASK_VALUE[look.type])
    for _ in range(0 if bare else int(rng.choice(3, p=(0.68, 0.26, 0.06)))):
        draw_prop = _pick(rng, list(_PROPS))
        unit, colours = _PROPS[draw_prop]
        pen = scene.pen(r(0.15, 0.85), r(0.15, 0.85), unit * r(0.7, 1.2), r(-60, 60), 0.0, 1.0, rng.random() < 0.5)
        draw_prop(pen, r)
        surface = _painted(*_pick(rng, colours))
        apart = rng.spawn(1)[0]  # so that what follows does not depend on whether this prop is laid
        if not scene.hides_too_much(pen):
            scene.lay(apart, pen, surface, 0, 115)
    return scene.develop()


def _places(rng, r, plan):
    """Of each product: (x, y, unit, turn) in image widths and degrees, and the details that its place decides."""
    types = [TYPES[look.type] for look in plan.looks]
    if plan.kind == "single":
        turn = r(-1, 1) * types[0].turn * (0.6 if rng.random() < 0.85 else 1.4)
        return [((0.5 + r(-0.05, 0.05), 0.5 + r(-0.05, 0.05), r(0.39, 0.48) * types[0].zoom, turn), {})]
    if plan.worn:
        spots = [_WORN[t.slot] for t in types]
        return [((x + r(-0.004, 0.004), y + r(-0.004, 0.004), unit, 0.0), {"layout": 3}) for x, y, unit in spots]
    flip = rng.random() < 0.5
    spots = [(1 - x if flip else x, y, unit) for x, y, unit in _LAID[len(types)]]
    return [
        ((x + r(-0.03, 0.03), y + r(-0.03, 0.03), unit * r(0.9, 1.08), r(-1, 1) * t.turn), {})
        for t, (x, y, unit) in zip(types, spots, strict=True)
    ]


# ---------------------------------------------------------------------------------------------------------------- words
# fmt: off
_BRANDS = ("Harbour & Pine", "Northfold", "Tilda Rue", "Quill & Thread", "Oskerby", "Velvet Finch", "Lumen Row",
    "Cobble Street", "Saltgrass", "Juniper Works", "Fenwright", "Pale Otter")
_PATTERN_WORDS = {"Solid": ("plain", ""), "Striped": ("striped",), "Checked": ("checked", "chequered"),
    "Dotted": ("dotted", "polka-dot"), "Floral": ("floral", "flowery"), "Zigzag": ("zigzag", "chevron-patterned"),
    "Camouflage": ("camouflage", "camo"), "Colour Blocked": ("two-tone", "colour-blocked"),
    "Printed": ("printed", "graphic")}
_TAILS = {  # of patterns, necklines and sleeves
    "Striped": "with stripes", "Checked": "with checks", "Dotted": "with dots", "Floral": "with a flower print",
    "Zigzag": "with a zigzag pattern", "Camouflage": "with a camouflage print",
    "Colour Blocked": "in two blocks of colour", "Printed": "with a print on the front",
    "Crew Neck": "with a crew neck", "V-Neck": "with a V-neck", "Scoop Neck": "with a scoop neck",
    "Polo Collar": "with a polo collar", "Shirt Collar": "with a collar", "Hooded": "with a hood",
    "Turtleneck": "with a roll neck", "Lapel Collar": "with an open front", "Sleeveless": "without sleeves",
    "Short Sleeves": "with short sleeves", "Long Sleeves": "with long sleeves",
}
_OWNERS = {"Men": "men's", "Women": "women's", "Girls": "girls'", "Unisex": "unisex"}
_PLACES = {"Plain": ("against a plain background", "on a bare backdrop"),
    "Gradient": ("in front of a shaded backdrop", "against a backdrop of fading colour"),
    "Wood": ("on a wooden surface", "on wooden boards"), "Tiles": ("on tiles", "on a tiled surface"),
    "Fabric": ("on a piece of cloth", "on top of a fabric"), "Shelf": ("in front of a shelf", "before some shelves"),
    "Shapes": ("among coloured shapes", "before a backdrop of odd shapes"),
    "Marble": ("on marble", "on a marble slab"),
    "Bokeh": ("in front of blurred lights", "before blurry dots of light")}
_SEASONS = {"Summer": ("summer", "warm days"), "Winter": ("winter", "cold days"), "Fall": ("autumn", "the fall"),
    "Spring": ("spring", "the first mild days")}
_USAGES = {"Casual": ("everyday wear", "casual days"), "Formal": ("the office", "formal occasions"),
    "Sports": ("sports", "the gym"), "Party": ("a party", "an evening out"), "Travel": ("travel", "a trip")}
_SINGLE_FORMS = ("{x}.", "{x} {place}.", "A photo of {x}.", "The picture shows {x} {place}.", "{x} {lie} {place}.",
    "Here {be} {x}, made for {usage}.", "{x} for {season}.", "{place}: {x}.", "{x}, photographed {place}.",
    "{brand} offers {x} for {usage}.", "One item from the catalogue: {x}.", "{x} {be} shown {place}.",
    "Someone took a picture of {x}.", "A shop image with {x}, good for {season}.", "You can see {x} here, {place}.",
    "{x}, a choice for {usage} in {month}.")
_OUTFIT_FORMS = ("{xs}.", "An outfit of {xs}.", "{xs} {together}.", "The picture shows {xs} {place}.",
    "{x} {go} with {rest}.", "{xs}, {together} {place}.", "A look for {usage}: {xs}.",
    "{x} and {y}, among other things.", "{n} products {together}: {xs}.", "{x} combined with {rest}.",
    "{brand} puts {x} together with {rest}.", "A set for {season} with {xs}.", "There {be} {xs} in this photo.",
    "A photo of {xs} {place}.")
# fmt: on


def _a(words):
    """With its article: 'an orange cap'.

    >>> _a("orange cap"), _a("unisex cap"), _a("pair of jeans")
    ('an orange cap', 'a unisex cap', 'a pair of jeans')
    """
    return ("an " if words[0] in "aeio" or words.startswith("um") else "a ") + words


def _noun_phrase(rng, look, short=False):
    """Words for a product and whether they are a plural: ('a striped red shirt', False) or ('blue jeans', True)."""
    noun = _pick(rng, TYPES[look.type].nouns)
    pair, plural = "", False
    if noun.startswith("pair of "):
        noun, plural = noun.removeprefix("pair of "), bool(rng.random() < 0.5)
        pair = "" if plural else "pair of "
    colour, pattern = _pick(rng, COLOURS[look.colour][1]), _pick(rng, _PATTERN_WORDS[look.pattern])
    shape = [_TAILS[name] for name in (look.neckline, look.sleeve) if name]
    before, after = _pick(
        rng,
        (
            ([colour, pattern], ""),
            ([pattern, colour], ""),
            ([colour], ""),
            ([colour], _TAILS.get(look.pattern, "")),
            ([_OWNERS[look.gender], colour, pattern], ""),
            ([pattern or colour], ""),
            ([colour, pattern], _pick(rng, shape) if shape and not short else ""),
        ),
    )
    words = pair + " ".join(word for word in (*before, noun) if word)
    words = words if plural else _a(words)
    return (f"{words} {after}" if after else words), plural


def _joined(phrases):
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def captions(rng, looks, worn, background):
    """Five different English captions of an image with these products; the first look gives season and usage."""
    several = len(looks) > 1
    forms = [f for f in (_OUTFIT_FORMS if several else _SINGLE_FORMS) if len(looks) > 2 or "among other" not in f]
    company = ("worn together", "on one figure", "on a mannequin") if worn else ("laid out together", "side by side")
    lines = []
    for i in rng.permutation(len(forms)):
        phrases = [_noun_phrase(rng, looks[j], short=several) for j in rng.permutation(len(looks))]
        words, plural = [text for text, _ in phrases], phrases[0][1]
        line = forms[i].format(
            x=words[0],
            y=words[-1],
            xs=_joined(words),
            rest=_joined(words[1:] or words),
            n=("One", "Two", "Three", "Four", "Five")[len(looks) - 1],
            be="are" if plural else "is",
            lie="lie" if plural else "lies",
            go="go" if plural else "goes",
            place=_pick(rng, _PLACES[background]),
            usage=_pick(rng, _USAGES[looks[0].usage]),
            season=_pick(rng, _SEASONS[looks[0].season]),
            month=_SEASONS[looks[0].season][0],
            together=_pick(rng, company),
            brand=_pick(rng, _BRANDS),
        )
        line = line[0].upper() + line[1:]
        if line not in lines:
            lines.append(line)
        if len(lines) == 5:
            break
    return lines


def product_name(rng, look):
    """As a shop would call it: 'Harbour & Pine Men Navy Blue Striped Crew Neck T-shirt'."""
    noun = TYPES[look.type].nouns[0].removeprefix("pair of ")
    noun = " ".join(word[0].upper() + word[1:] for word in noun.split())
    pattern = look.pattern if look.pattern != "Solid" else ""
    neckline = look.neckline if look.neckline not in ("Shirt Collar", "Hooded", "Lapel Collar") else ""
    words = (_pick(rng, _BRANDS), look.gender, look.colour, pattern, neckline, noun)
    return " ".join(word for word in words if word)


# ------------------------------------------------------------------------------------------------------- draw and write

_SPLITS = (("train", 0.65), ("validation", 0.10), ("test", 0.20), ("unseen", 0.05))
_LEAST = 40  # images: fewer would leave a split almost empty
_ALONE = 200  # images: below, starting other processes takes longer than drawing
COLUMNS = (
    "file_name", "label", "labels", "kind", "id", "gender", "masterCategory", "subCategory", "articleType",
    "baseColour", "season", "usage", "productDisplayName", "pattern", "sleeve", "neckline", "background", "caption_1",
    "caption_2", "caption_3", "caption_4", "caption_5", "mask_file_name",
)  # fmt: skip


def _check(size, seed):
    if not (isinstance(size, int | np.integer) and 48 <= size <= 1024):
        raise ValueError(f"size is {size!r}; allowed: a whole number of pixels from 48 to 1024")
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"seed is {seed!r}; allowed: a whole number from 0")


def draw(index, type_name, kind="single", size=96, seed=0):
    """One image: image uint8 (size, size, 3), mask uint8 (size, size), and its row of metadata.csv (a dict).

    `index` numbers the image: with `seed` it decides all that is left to chance. kind: "single" or "outfit", of which
    `type_name` is one product. The row of an outfit has the attributes of the product with the most pixels; its
    `labels` go from the largest to the smallest. Raises ValueError for an unknown type or kind, a size outside
    48..1024, a negative seed.

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
    shown = product_name(words, main) + (f" in a Set of {len(looks)}" if len(looks) > 1 else "")
    row = (
        name, main.type, "|".join(x.type for x in looks), kind, index, main.gender, t.category, t.subcategory,
        main.type, main.colour, main.season, main.usage, shown, main.pattern, main.sleeve, main.neckline,
        plan.background, *captions(words, looks, plan.worn, plan.background), f"masks/{name}",
    )  # fmt: skip
    return image, mask, dict(zip(COLUMNS, row, strict=True))


def _jobs(n_images, seed):
    """(split, index, type, kind) of every image: three singles to an outfit, types balanced among a split's singles."""
    counts = {name: max(1, round(share * n_images)) for name, share in _SPLITS[1:]}
    counts = {"train": n_images - sum(counts.values()), **counts}
    jobs = []
    for number, (split, n) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, 2, number])
        types = UNSEEN if split == "unseen" else SEEN
        kinds = ["single"] * (n - n // 4) + ["outfit"] * (n // 4)
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

    The default folder is `data/catalogue` below the nearest parent of the working directory that has a `data` folder.
    Splits: 65 % train, 10 % validation, 20 % test, 5 % unseen, whose product types no other split has; a quarter of
    each are outfits. `workers` processes draw (default: one a core); the files do not depend on how many.

    All is drawn into a folder beside and moved in one step, with manifest.json (parameters, a digest of all pixels): a
    run that is stopped leaves nothing that a later one would trust; of two runs at once the first to finish stays. A
    complete catalogue of the same parameters is found, not drawn; one that lacks files or comes from another version of
    this file is drawn anew. Raises ValueError for parameters out of range, and if the folder holds a catalogue of other
    parameters or anything else.
    """
    _check(size, seed)
    if not (isinstance(n_images, int | np.integer) and n_images >= _LEAST):
        raise ValueError(f"n_images is {n_images!r}; allowed: a whole number from {_LEAST}")
    if workers is not None and not (isinstance(workers, int | np.integer) and workers >= 1):
        raise ValueError(f"workers is {workers!r}; allowed: a whole number from 1, or None for one a core")
    folder = _default_folder() if folder is None else Path(folder)
    parameters = {"version": VERSION, "n_images": int(n_images), "size": int(size), "seed": int(seed)}
    if _found(folder, parameters):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-drawing-*"):  # by a run that was killed
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    drawing = folder.parent / f".{folder.name}-drawing-{uuid.uuid4().hex}"
    drawing.mkdir()
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
    draw_file = delayed(_draw_file)
    pool = Parallel(1 if n_images < _ALONE else workers, batch_size=16, return_as="generator")  # fresh processes
    done = pool(draw_file(job, str(folder), size, seed) for job in jobs)
    silent = not progress or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # not read by tqdm's notebook bar
    done = list(tqdm(done, total=n_images, desc="drawing the catalogue", unit="image", disable=silent))
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
            (t.place, t.category, t.subcategory, 0),
        ):
            if row not in rows:
                rows.append(row)
    return rows + [(t.name, t.place, t.name, 1) for t in TYPES.values()]


def _move_in(drawing, folder, parameters):
    """Put a finished drawing in its place; if another process was faster, keep what that one put there."""
    for _ in range(3):
        if _found(folder, parameters):
            return
        old = folder.parent / f".{folder.name}-drawing-{uuid.uuid4().hex}"
        try:
            os.rename(folder, old)  # what is empty, incomplete or older goes out of the way
            shutil.rmtree(old, ignore_errors=True)
        except FileNotFoundError:  # the usual case: nothing is there
            pass
        try:
            os.rename(drawing, folder)
            return
        except OSError:  # it is there again
            continue
    raise OSError(f"could not move the drawn catalogue into {folder}")


_PROBES = {
    "colour": ("Blue", "Green", "Yellow", "Red", "Purple", "Brown", "Turquoise Blue", "Grey"),
    "shape": ("Tshirts", "Jeans", "Dresses", "Casual Shoes", "Handbags", "Caps", "Sunglasses", "Watches"),
    "texture": ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage"),
}


def probe(factor, n_images=240, size=96, seed=0):
    """Images of classes that differ in one factor only, uint8 (n, size, size, 3), and their labels (n,).

    "colour": classes are base colours; product types and poses are distributed alike, all plain. "shape": classes are
    product types, all plain and without any colour. "texture": classes are patterns, all on T-shirts in the same two
    colours. Every image has its own pose, on a pale ground in white light with nothing in front. Labels go in turn.
    Raises ValueError for another factor, and for fewer than two images a class.
    """
    _check(size, seed)
    if factor not in _PROBES:
        raise ValueError(f"unknown factor {factor!r}; known: {', '.join(_PROBES)}")
    names = _PROBES[factor]
    if n_images < 2 * len(names):
        raise ValueError(f"n_images is {n_images}; allowed: from {2 * len(names)}, two of each of {len(names)} classes")
    images, labels = [], [names[i % len(names)] for i in range(n_images)]
    for i, name in enumerate(labels):
        rng = np.random.default_rng([seed, 3, i])
        type_name = {"colour": _pick(rng, _PROBES["shape"]), "shape": name, "texture": "Tshirts"}[factor]
        plan = _plan(rng, type_name, "single")
        look = plan.looks[0]
        look.finish, look.pattern = "cotton", name if factor == "texture" else "Solid"
        look.colour = look.second = name if factor == "colour" else "Grey"
        if factor == "texture":
            look.colour, look.second = _pick(rng, (("Navy Blue", "Beige"), ("Beige", "Navy Blue")))
        look.a |= {"trim": False, "faded": False, "metal": False, "dark": False}
        image, _ = _render(rng, plan, size, bare=True)
        if factor == "shape":
            image = np.repeat(image.astype(np.uint16).sum(axis=2, keepdims=True) // 3, 3, axis=2).astype(np.uint8)
        images.append(image)
    return np.stack(images), np.array(labels)


if __name__ == "__main__":
    print(write())
