"""Plans: what an image will show, drawn at random before any pixel of it.

A `Look` is one product with its attributes, a `Plan` all products of an image with how they lie and the background.
"""

from dataclasses import dataclass, field

from .products import BACKGROUNDS, COLOURS, DENIM_COLOURS, SEEN, TYPES, UNSEEN


@dataclass
class Look:
    """One product of an image: its attributes, and the details `a` that shape its drawing."""

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


def pick(rng, options):
    """One of `options` (a sequence), each as likely."""
    return options[int(rng.integers(len(options)))]


_DETAILS = ("trim", "pocket", "frill", "zip", "cable", "strap", "flap", "metal", "square", "faded")


def random_look(rng, type_name, gender=None):
    """A random look of a type, for `gender` if the type is made for it."""
    t = TYPES[type_name]
    finish = pick(rng, t.finishes)
    colour = pick(rng, DENIM_COLOURS if finish == "denim" else list(COLOURS))
    brightness = sum(COLOURS[colour][0])
    second = pick(rng, [c for c, (rgb, _) in COLOURS.items() if abs(sum(rgb) - brightness) > 130])
    look = Look(
        type_name, gender if gender in t.genders else pick(rng, t.genders), colour, pick(rng, t.seasons),
        pick(rng, t.usages), pick(rng, t.patterns), pick(rng, t.sleeves), pick(rng, t.necklines), finish, second,
    )  # fmt: skip
    look.a = {name: bool(rng.random() < 0.5) for name in _DETAILS}
    look.a |= {"sleeve": look.sleeve, "neckline": look.neckline, "dark": brightness < 330}
    look.a |= {"layout": int(rng.integers(3)), "tall": -0.2 - 0.6 * float(rng.random())}
    look.a |= {"frequency": 0.75 + 0.75 * float(rng.random()), "lay": int(rng.integers(4))}
    look.a |= {"duty": 0.3 + 0.35 * float(rng.random()), "phase": float(rng.random())}
    return look


# Where the products of a flat lay are placed, and where a figure wears them: x, y, unit, all in image widths.
LAID = {
    2: ((0.29, 0.48, 0.28), (0.73, 0.53, 0.25)),
    3: ((0.29, 0.34, 0.27), (0.74, 0.28, 0.21), (0.62, 0.74, 0.23)),
    4: ((0.27, 0.29, 0.24), (0.74, 0.27, 0.21), (0.26, 0.76, 0.19), (0.73, 0.74, 0.23)),
    5: ((0.24, 0.28, 0.22), (0.66, 0.23, 0.18), (0.2, 0.77, 0.17), (0.54, 0.71, 0.19), (0.85, 0.62, 0.15)),
}
WORN = {
    "legs": (0.5, 0.655, 0.24), "torso": (0.5, 0.36, 0.225), "whole": (0.5, 0.48, 0.31), "feet": (0.5, 0.92, 0.085),
    "neck": (0.5, 0.29, 0.13), "face": (0.5, 0.115, 0.085), "head": (0.5, 0.07, 0.11), "hand": (0.8, 0.62, 0.14),
}  # fmt: skip
_OVER = ("legs", "feet", "whole", "torso", "neck", "face", "head", "hand")  # from the lowest layer to the topmost


@dataclass
class Plan:
    """What an image shows: its products from the lowest to the topmost, whether a figure wears them, the background."""

    looks: list
    kind: str
    worn: bool
    background: str


def random_plan(rng, type_name, kind):
    """A random plan of a kind ("single" or "outfit") with a product of this type."""
    background = list(BACKGROUNDS)[int(rng.choice(len(BACKGROUNDS), p=list(BACKGROUNDS.values())))]
    first = random_look(rng, type_name)
    if kind == "single":
        return Plan([first], kind, False, background)
    slot, unseen = TYPES[type_name].slot, TYPES[type_name].unseen
    wanted = 2 + int(rng.choice(4, p=(0.3, 0.35, 0.2, 0.15)))
    worn = bool(rng.random() < 0.5) and slot != "small" and not unseen
    gender = first.gender if first.gender in ("Men", "Women") else pick(rng, ("Men", "Women"))
    pool = [TYPES[name] for name in (UNSEEN if unseen else SEEN)]
    pool = [t for t in pool if (gender in t.genders or "Unisex" in t.genders) and not (worn and t.slot == "small")]
    looks, taken = [first], {slot}
    order = [pool[i] for i in rng.permutation(len(pool))]
    if worn and slot not in ("torso", "whole"):  # a figure is dressed
        order.sort(key=lambda t: t.slot not in ("torso", "whole"))
    for t in order:
        clash = t.slot in taken or ("whole" in (t.slot, *taken) and {"torso", "legs"} & {t.slot, *taken})
        if len(looks) < wanted and (not clash or t.slot == "small") and t.name not in [x.type for x in looks]:
            looks.append(random_look(rng, t.name, gender))
            taken.add(t.slot)
    if worn:
        looks.sort(key=lambda x: _OVER.index(TYPES[x.type].slot))
    return Plan(looks, kind, worn, background)
