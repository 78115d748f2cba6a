"""Clothes: the drawing of each garment.

Each function draws one product type with pen `p`; `r(low, high)` is a random number that varies its shape, `a` holds
the attributes of its look. Shared parts come first: folds, sleeves and the body with its neckline.
"""

import math

import numpy as np

from .pen import CLOTH, INK, INSIDE, METAL, PALE, PLAIN, SECOND, SHADE, THREAD, WHITE, both, mirrored, oval

# fmt: off


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
