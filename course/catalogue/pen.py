"""Smooth outlines, the pose that places them in an image, and the pen that fills them.

A product is drawn in coordinates of its own, about -1..1 with y pointing down. The pen keeps two maps of the drawing:
which material each pixel is made of, and how high the surface lies there; colours and light come later, in `surfaces`
and `scenes`.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

# Materials: the values of the material map; 0 is transparent.
(CLOTH, PLAIN, SHADE, INSIDE, SECOND, WHITE, INK, METAL, RUBBER, LEATHER, GLASS, THREAD, PALE) = range(1, 14)
OPEN = 0


def curve(points, closed=True, steps=6):
    """Smooth line through `points`, float64 (m, 2): a Catmull-Rom spline whose tangents are as long as each segment.

    A point with a third entry is a corner; two corners in a row are joined by a straight segment.

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
    """The whole outline, from its right half listed top to bottom with x >= 0.

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
    """How a product's own coordinates (about -1..1, y down) map to pixels: a projective 3x3 matrix and a bend."""

    matrix: np.ndarray
    bend: float = 0.0

    def place(self, points):
        """Pixels, int (n, 2), of points in own coordinates."""
        xy = np.asarray(points, dtype=np.float64)
        u, v = xy[:, 0] + self.bend * xy[:, 1] ** 2, xy[:, 1]
        m = self.matrix
        w = m[2, 0] * u + m[2, 1] * v + m[2, 2]
        x, y = (m[0, 0] * u + m[0, 1] * v + m[0, 2]) / w, (m[1, 0] * u + m[1, 1] * v + m[1, 2]) / w
        return np.rint(np.stack([x, y], axis=1)).astype(int)

    def own_coordinates(self, x, y):
        """Own coordinates u, v (float32) of the pixels x, y (float32, shapes that broadcast)."""
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
        """Approximate number of pixels in one unit of the product's own coordinates."""
        m = self.matrix
        return math.sqrt(abs(float(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])))


def pose(centre, unit, turn=0.0, shear=0.0, squeeze=1.0, mirror=False, tilt=(0.0, 0.0), bend=0.0):
    """Pose with the product's centre at `centre` (pixels), `unit` pixels to the unit, turned by `turn` degrees."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    sx = unit * squeeze * (-1 if mirror else 1)
    a, b, d, e = c * sx, c * shear * unit - s * unit, s * sx, s * shear * unit + c * unit
    p, q = tilt
    x, y = centre  # the perspective leaves the centre in place
    return Pose(np.array([[a + x * p, b + x * q, x], [d + y * p, e + y * q, y], [p, q, 1.0]]), bend)


class Pen:
    """Draws the parts of one product, in its own coordinates, into a material map and a height map (PIL, mode L)."""

    def __init__(self, side, where):
        self.pose = where
        self.material = Image.new("L", (side, side), 0)
        self.height = Image.new("L", (side, side), 0)
        self._material, self._height = ImageDraw.Draw(self.material), ImageDraw.Draw(self.height)
        self.offset = (0.0, 0.0, 1.0, 1.0)  # x, y, scale of x, scale of y

    def at(self, x=0.0, y=0.0, scale=1.0, flip=False):
        """Shift, scale and flip whatever is drawn next, such as the second shoe of a pair."""
        self.offset = (x, y, -scale if flip else scale, scale)

    def _pixels(self, points):
        x, y, sx, sy = self.offset
        return [tuple(p) for p in self.pose.place(np.asarray(points) * (sx, sy) + (x, y)).tolist()]

    def fill(self, points, material=CLOTH, height=150, steps=6):
        """Fill a closed outline with a material; `OPEN` cuts a hole."""
        line = self._pixels(curve(points, steps=steps))
        self._material.polygon(line, fill=material)
        self._height.polygon(line, fill=height if material else 0)

    def line(self, points, width, material=SHADE, height=150):
        """Stroke an open line, `width` in own coordinates."""
        line, pixels = self._pixels(curve(points, closed=False)), max(1, round(width * self.pose.unit * self.offset[3]))
        self._material.line(line, fill=material, width=pixels, joint="curve")
        self._height.line(line, fill=height, width=pixels, joint="curve")

    def seam(self, points, width=0.016, height=95):
        """A groove, or a fold if the height is above its surroundings: shown by the light, the material stays."""
        line = self._pixels(curve(points, closed=False))
        self._height.line(
            line, fill=height, width=max(1, round(width * self.pose.unit * self.offset[3])), joint="curve"
        )

    def disc(self, x, y, r, material=METAL, height=190, ry=None):
        """A filled circle, or an ellipse where `ry` is given."""
        self.fill(oval(x, y, r, ry), material, height, steps=4)


def both(draw, points, *rest):
    """Draw on the right and, mirrored, on the left."""
    draw(points, *rest)
    draw([(-p[0], *p[1:]) for p in points], *rest)
