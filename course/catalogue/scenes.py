"""Scenes: products laid over a ground in its light, with shadows, folds and grain, and the mask of each product.

Everything is drawn at `OVERSAMPLE` times the size and averaged down. Whatever is rounded more than once on its way to a
pixel is float32 or float64 arithmetic without library sums or transcendental functions of arrays, so the same seed
gives the same pixels in every process.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

from .grounds import draw_ground
from .pen import CLOTH, GLASS, Pen, pose
from .plans import LAID, WORN, pick
from .products import FINISHES, MASK_VALUE, TYPES
from .props import PROPS, hanger, mannequin
from .surfaces import GLOSSY, painted, pattern_map, shift, smooth_noise, surface_of, zigzag

OVERSAMPLE = 3  # odd, so that a mask pixel has a centre


class Scene:
    """An image in the making: a canvas, which product owns each of its pixels, and the light.

    `ground` is one of the kinds in BACKGROUNDS, or None for a pale studio in even white light. No larger image draws
    more random numbers, so a scene is the same at every size.
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
            Image.new("RGB", (1, 1), (226, 226, 226)) if ground is None else draw_ground(rng, ground, self.side // 2)
        )
        self.canvas = np.array(image.resize((self.side, self.side), Image.Resampling.BILINEAR))  # a little out of focus
        self.owner = np.zeros((self.side, self.side), np.uint8)

    def pen(self, x, y, unit, *turned):
        """A pen for a product at x, y with this unit, in image widths; `turned`: the further arguments of `pose`."""
        return Pen(self.side, pose((x * self.side, y * self.side), unit * self.side, *turned))

    def hides_too_much(self, pen, most=0.2):
        """Whether what `pen` drew would cover more than this share of the visible part of any product."""
        before = np.bincount(self.owner.ravel(), minlength=len(MASK_VALUE) + 1)
        covered = np.bincount(self.owner[np.asarray(pen.material) > 0], minlength=len(MASK_VALUE) + 1)
        return bool((covered[1:] > most * before[1:]).any())

    def lay(self, rng, pen, surface, value=0, shadow=102):
        """Lay what `pen` drew on top, with its shadow (of 256); its pixels belong to `value`, a product or 0."""
        left, top_, right, low = pen.material.getbbox()
        pad = self.side // 16
        box = (max(0, left - pad), max(0, top_ - pad), min(self.side, right + pad), min(self.side, low + pad))
        window = (slice(box[1], box[3]), slice(box[0], box[2]))
        material, unit = np.asarray(pen.material.crop(box)), pen.pose.unit
        silhouette = Image.fromarray((material > 0).astype(np.uint8) * 255)
        broad = np.asarray(silhouette.filter(ImageFilter.GaussianBlur(max(2.0, unit * 0.07))))
        fine = np.asarray(pen.height.crop(box).filter(ImageFilter.GaussianBlur(max(1.0, unit * 0.014))))
        cast = shift(broad, *(-c * self.side * 0.022 for c in self.light))[..., None]
        under = self.canvas[window]
        under -= (under.astype(np.uint32) * cast * shadow >> 16).astype(np.uint8)

        rows, columns = np.nonzero(material)  # from here on only the pixels of the product: (n,)
        made_of = material[rows, columns]
        ridge = self._rise(fine, max(1.0, unit * 0.012))[rows, columns]
        bulge = self._rise(broad, unit * 0.06)[rows, columns]
        drape = smooth_noise(rng, material.shape, (4, 3))[rows, columns].astype(np.float32) - 128
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
            rib = zigzag(u * 16)
            texture = (2 * rib - 1) * (np.float32(0.6) + np.float32(0.4) * zigzag(v * 22 + rib))
        elif weave == "twill":
            texture = texture * np.float32(0.5) + zigzag((u + v) * 18) - np.float32(0.5)
        shade += texture * np.float32(grain / 255)
        glossy = np.full(16, gloss, np.float32)
        glossy[list(GLOSSY)] = list(GLOSSY.values())
        shine = np.clip(-ridge - bulge * np.float32(0.3) - 14, 0, 60) * glossy[made_of] * np.float32(2.6)
        colours = colours * shade[:, None] + shine[:, None]
        glass = made_of == GLASS
        colours[glass] = colours[glass] * np.float32(0.78) + under[rows[glass], columns[glass]] * np.float32(0.22)
        under[rows, columns] = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
        self.owner[window][rows, columns] = value

    def _rise(self, surface, reach):
        """How much a surface (uint8) rises away from the light over twice `reach` pixels: float32."""
        x, y = (round(c * reach) for c in self.light)
        if x == y == 0:
            y = -1
        return (shift(surface, x, y).astype(np.int16) - shift(surface, -x, -y)).astype(np.float32)

    def develop(self):
        """Image uint8 (size, size, 3), in its light and with the grain of a sensor, and mask uint8 (size, size)."""
        image = np.asarray(Image.fromarray(self.canvas).reduce(OVERSAMPLE)).astype(np.float32)
        across = np.arange(self.size, dtype=np.float32) / np.float32(self.size) - np.float32(0.5)
        ramp = across[None, :] * np.float32(self.light[0]) + across[:, None] * np.float32(self.light[1])
        image *= (self.gain * (1 + 2 * self.slope * ramp))[..., None] * np.array([1 + self.warmth, 1, 1 - self.warmth])
        image += np.resize(self.speckle // 37, (self.size, self.size))[..., None]
        centre = OVERSAMPLE // 2
        mask = self.owner[centre::OVERSAMPLE, centre::OVERSAMPLE]
        return np.rint(np.clip(image, 0, 255)).astype(np.uint8), np.ascontiguousarray(mask)


def render(rng, plan, size, bare=False):
    """Image uint8 (size, size, 3) and mask uint8 (size, size) of a plan; `bare`: a pale ground and no props."""

    def r(low, high):
        return low + (high - low) * float(rng.random())

    scene = Scene(rng, None if bare else plan.background, size)
    if plan.worn:
        figure = scene.pen(0.5, 0.5, 1.0)
        mannequin(figure, r)
        tone = pick(rng, ((232, 226, 216), (202, 172, 146), (150, 146, 142), (236, 236, 236), (126, 92, 70)))
        scene.lay(rng, figure, painted(tone))
    for look, (place, details) in zip(plan.looks, _places(rng, r, plan), strict=True):
        t, still = TYPES[look.type], 0.0 if plan.worn else 1.0
        tilt, shear = (still * r(-0.1, 0.1), still * r(-0.12, 0.12)), still * r(-0.11, 0.11)
        place = (*place, shear, r(0.9, 1.08), rng.random() < 0.5, tilt, r(-0.05, 0.05))
        if t.slot == "torso" and still and not bare and rng.random() < 0.3:
            pen = scene.pen(*place)
            hanger(pen, r)
            scene.lay(rng, pen, painted((150, 110, 70), (180, 180, 184)))
        pen = scene.pen(*place)
        t.draw(pen, r, look.a | details)
        scene.lay(rng, pen, surface_of(rng, look), MASK_VALUE[look.type])
    for _ in range(0 if bare else int(rng.choice(3, p=(0.68, 0.26, 0.06)))):
        draw_prop = pick(rng, list(PROPS))
        unit, colours = PROPS[draw_prop]
        pen = scene.pen(r(0.15, 0.85), r(0.15, 0.85), unit * r(0.7, 1.2), r(-60, 60), 0.0, 1.0, rng.random() < 0.5)
        draw_prop(pen, r)
        surface = painted(*pick(rng, colours))
        apart = rng.spawn(1)[0]  # so that what follows does not depend on whether this prop is laid
        if not scene.hides_too_much(pen):
            scene.lay(apart, pen, surface, 0, 115)
    return scene.develop()


def _places(rng, r, plan):
    """For each product (x, y, unit, turn), in image widths and degrees, and the details that its place decides."""
    types = [TYPES[look.type] for look in plan.looks]
    if plan.kind == "single":
        turn = r(-1, 1) * types[0].turn * (0.6 if rng.random() < 0.85 else 1.4)
        return [((0.5 + r(-0.05, 0.05), 0.5 + r(-0.05, 0.05), r(0.39, 0.48) * types[0].zoom, turn), {})]
    if plan.worn:
        spots = [WORN[t.slot] for t in types]
        return [((x + r(-0.004, 0.004), y + r(-0.004, 0.004), unit, 0.0), {"layout": 3}) for x, y, unit in spots]
    flip = rng.random() < 0.5
    spots = [(1 - x if flip else x, y, unit) for x, y, unit in LAID[len(types)]]
    return [
        ((x + r(-0.03, 0.03), y + r(-0.03, 0.03), unit * r(0.9, 1.08), r(-1, 1) * t.turn), {})
        for t, (x, y, unit) in zip(types, spots, strict=True)
    ]
