"""Words: five captions of an image, and the name of a product as a shop would give it."""

from .plans import pick
from .products import COLOURS, TYPES

# fmt: off
BRANDS = ("Harbour & Pine", "Northfold", "Tilda Rue", "Quill & Thread", "Oskerby", "Velvet Finch", "Lumen Row",
    "Cobble Street", "Saltgrass", "Juniper Works", "Fenwright", "Pale Otter")
PATTERN_WORDS = {"Solid": ("plain", ""), "Striped": ("striped",), "Checked": ("checked", "chequered"),
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
OWNERS = {"Men": "men's", "Women": "women's", "Girls": "girls'", "Unisex": "unisex"}
PLACES = {"Plain": ("against a plain background", "on a bare backdrop"),
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


def with_article(words):
    """Words with their indefinite article.

    >>> with_article("orange cap"), with_article("unisex cap"), with_article("pair of jeans")
    ('an orange cap', 'a unisex cap', 'a pair of jeans')
    """
    return ("an " if words[0] in "aeio" or words.startswith("um") else "a ") + words


def noun_phrase(rng, look, short=False):
    """Words for a product, and whether they are a plural: ('a striped red shirt', False) or ('blue jeans', True)."""
    noun = pick(rng, TYPES[look.type].nouns)
    pair, plural = "", False
    if noun.startswith("pair of "):
        noun, plural = noun.removeprefix("pair of "), bool(rng.random() < 0.5)
        pair = "" if plural else "pair of "
    colour, pattern = pick(rng, COLOURS[look.colour][1]), pick(rng, PATTERN_WORDS[look.pattern])
    shape = [_TAILS[name] for name in (look.neckline, look.sleeve) if name]
    before, after = pick(
        rng,
        (
            ([colour, pattern], ""),
            ([pattern, colour], ""),
            ([colour], ""),
            ([colour], _TAILS.get(look.pattern, "")),
            ([OWNERS[look.gender], colour, pattern], ""),
            ([pattern or colour], ""),
            ([colour, pattern], pick(rng, shape) if shape and not short else ""),
        ),
    )
    words = pair + " ".join(word for word in (*before, noun) if word)
    words = words if plural else with_article(words)
    return (f"{words} {after}" if after else words), plural


def joined(phrases):
    """Phrases as a list in a sentence.

    >>> joined(["a cap", "a belt", "blue jeans"])
    'a cap, a belt and blue jeans'
    """
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def captions(rng, looks, worn, background):
    """Five different English captions of an image with these products; season and usage are those of the first look."""
    several = len(looks) > 1
    forms = [f for f in (_OUTFIT_FORMS if several else _SINGLE_FORMS) if len(looks) > 2 or "among other" not in f]
    company = ("worn together", "on one figure", "on a mannequin") if worn else ("laid out together", "side by side")
    lines = []
    for i in rng.permutation(len(forms)):
        phrases = [noun_phrase(rng, looks[j], short=several) for j in rng.permutation(len(looks))]
        words, plural = [text for text, _ in phrases], phrases[0][1]
        line = forms[i].format(
            x=words[0],
            y=words[-1],
            xs=joined(words),
            rest=joined(words[1:] or words),
            n=("One", "Two", "Three", "Four", "Five")[len(looks) - 1],
            be="are" if plural else "is",
            lie="lie" if plural else "lies",
            go="go" if plural else "goes",
            place=pick(rng, PLACES[background]),
            usage=pick(rng, _USAGES[looks[0].usage]),
            season=pick(rng, _SEASONS[looks[0].season]),
            month=_SEASONS[looks[0].season][0],
            together=pick(rng, company),
            brand=pick(rng, BRANDS),
        )
        line = line[0].upper() + line[1:]
        if line not in lines:
            lines.append(line)
        if len(lines) == 5:
            break
    return lines


def product_name(rng, look):
    """A name as a shop would give it: 'Harbour & Pine Men Navy Blue Striped Crew Neck T-shirt'."""
    noun = TYPES[look.type].nouns[0].removeprefix("pair of ")
    noun = " ".join(word[0].upper() + word[1:] for word in noun.split())
    pattern = look.pattern if look.pattern != "Solid" else ""
    neckline = look.neckline if look.neckline not in ("Shirt Collar", "Hooded", "Lapel Collar") else ""
    words = (pick(rng, BRANDS), look.gender, look.colour, pattern, neckline, noun)
    return " ".join(word for word in words if word)


def phrases():
    """What phrases of the captions say of a product or its place: rows (column, value, phrase).

    >>> ("baseColour", "Navy Blue", "dark blue") in phrases()
    True
    """
    said = {
        "articleType": {name: [noun.removeprefix("pair of ") for noun in t.nouns] for name, t in TYPES.items()},
        "baseColour": {name: colour_words for name, (_, colour_words) in COLOURS.items()},
        "pattern": {name: [*some, _TAILS.get(name, "")] for name, some in PATTERN_WORDS.items()},
        "neckline": {
            name: [tail] for name, tail in _TAILS.items() if name not in PATTERN_WORDS and "Sleeve" not in name
        },
        "sleeve": {name: [tail] for name, tail in _TAILS.items() if "Sleeve" in name},
        "gender": {name: [word] for name, word in OWNERS.items()},
        "background": PLACES,
        "season": _SEASONS,
        "usage": _USAGES,
    }
    rows = [(column, value, phrase) for column, of in said.items() for value, some in of.items() for phrase in some]
    return [row for row in rows if row[2]]
