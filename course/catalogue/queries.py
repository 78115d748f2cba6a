"""Hard queries: texts that ask as people do, each with a caption that means the same and one that does not.

The captions of the catalogue all draw on one table of phrases, so no word of theirs is ever unknown and none is
misspelled. These texts have what is missing there. A query has one kind:

    synonym        the other word that captions use for the product
    unknown word   words that no caption uses ("scarlet", "knapsack")
    misspelling    a word typed wrongly
    short          words in any order, as one types them into a search box
    colours        which of two colours is that of the cloth, which that of its pattern
    negation       what the product has not
    relation       what stands before, on or among what
    two objects    which of two products has which colour (outfits)
    count          how many products there are (outfits)

What `other` says differs from `same` in a single point. In "colours", "relation" and "two objects" both have the very
same words, in another order.
"""

import numpy as np

from .plans import pick, random_plan
from .products import COLOURS, SEEN, TYPES
from .words import OWNERS, PATTERN_WORDS, PLACES, with_article

COLUMNS = ("id", "kind", "query", "same", "other")
KINDS = ("synonym", "unknown word", "misspelling", "short", "colours", "negation", "relation")
KINDS_OF_OUTFITS = ("two objects", "count")

# fmt: off
UNHEARD = {  # words that no caption uses
    "Tshirts": "jersey", "Shirts": "blouse", "Tops": "singlet", "Sweaters": "woolly", "Jackets": "coat",
    "Trousers": "slacks", "Shorts": "bermudas", "Skirts": "kilt", "Dresses": "gown", "Casual Shoes": "plimsolls",
    "Formal Shoes": "oxfords", "Heels": "stilettos", "Boots": "wellingtons", "Sandals": "slingbacks",
    "Flip Flops": "thongs", "Handbags": "purse", "Backpacks": "knapsack", "Watches": "timepiece",
    "Sunglasses": "sunnies", "Caps": "snapback", "Hats": "fedora", "Belts": "waistband", "Ties": "cravat",
    "Socks": "hosiery", "Scarves": "shawl",
    "Black": "ebony", "White": "ivory", "Navy Blue": "indigo", "Blue": "azure", "Turquoise Blue": "aqua",
    "Green": "emerald", "Olive": "khaki", "Yellow": "golden", "Orange": "tangerine", "Red": "scarlet",
    "Maroon": "burgundy", "Pink": "rose", "Purple": "violet", "Brown": "chestnut", "Beige": "ecru"}
PARTS = {"Striped": "stripes", "Checked": "checks", "Dotted": "dots", "Zigzag": "zigzags", "Floral": "flowers"}
NEARBY = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopoasdfghjklkxcvbnmn", strict=False))  # keys to the right
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PREPOSITIONS = ("in front of", "on top of", "against", "among", "before", "on")
# fmt: on


def hard_query(index, type_name, kind="single", seed=0):
    """A hard query about image `index` of the catalogue, of a kind that suits it: a row of COLUMNS.

    The arguments are those of `draw`. What is asked is true of the image; its random numbers are not those of the
    drawing or of the captions, so these stay as they are.
    >>> hard_query(30, "Trousers")[1:]
    ('negation', 'black pants, striped and not checked', 'black pants, only striped', 'black pants, only checked')
    """
    plan = random_plan(np.random.default_rng([seed, 0, index]), type_name, kind)
    look, *others = plan.looks
    rng = np.random.default_rng([seed, 4, index])
    kinds = list(KINDS_OF_OUTFITS if others else KINDS)
    while True:
        name = kinds.pop(int(rng.integers(len(kinds))))
        texts = _ASK[name](rng, look, others or plan.background)
        if texts is not None:
            return (index, name, *texts)


def misspelled(rng, word):
    """The word with two neighbouring letters exchanged, one left out, one doubled, or the next key hit.

    >>> misspelled(np.random.default_rng(0), "turquoise") != "turquoise"
    True
    """
    while True:
        at, way = (
            int(rng.integers(len(word))),
            pick(rng, ("double",) if len(word) < 4 else ("swap", "drop", "double", "key")),
        )
        before, letter, after = word[:at], word[at], word[at + 1 :]
        typed = {
            "swap": before + after[:1] + letter + after[1:],
            "drop": before + after,
            "double": before + letter + letter + after,
            "key": before + NEARBY.get(letter, letter) + after,
        }[way]
        if typed != word:
            return typed


def thing(colour, noun):
    """The two as a phrase: 'a red cap', 'red boots'."""
    return (
        f"{colour} {noun.removeprefix('pair of ')}" if noun.startswith("pair of ") else with_article(f"{colour} {noun}")
    )


def _bare(noun):
    return noun.removeprefix("pair of ") if noun.startswith("pair of ") else with_article(noun)


def _words(rng, look):
    return pick(rng, COLOURS[look.colour][1]), pick(rng, TYPES[look.type].nouns)


def _other_type(rng, look):
    """A noun of another type, as singular or plural as this one's."""
    is_pair = TYPES[look.type].nouns[0].startswith("pair of ")
    allowed = [t for t in (*SEEN, look.type) if t != look.type and TYPES[t].nouns[0].startswith("pair of ") == is_pair]
    return pick(rng, TYPES[pick(rng, allowed)].nouns)


def _other_colour(rng, look):
    return pick(rng, COLOURS[pick(rng, [name for name in COLOURS if name != look.colour])][1])


def _synonym(rng, look, _):
    colour, nouns = pick(rng, COLOURS[look.colour][1]), rng.permutation(TYPES[look.type].nouns)
    return thing(colour, str(nouns[0])), thing(colour, str(nouns[1])), thing(colour, _other_type(rng, look))


def _unknown_word(rng, look, _):
    if look.type not in UNHEARD:
        return None
    colour, noun = _words(rng, look)
    pair = "pair of " if noun.startswith("pair of ") else ""
    asked = thing(UNHEARD.get(look.colour, colour), pair + UNHEARD[look.type])
    wrong = (colour, _other_type(rng, look)) if rng.random() < 0.5 else (_other_colour(rng, look), noun)
    return asked, thing(colour, noun), thing(*wrong)


def _misspelling(rng, look, _):
    colour, noun = _words(rng, look)
    if rng.random() < 0.5:
        word = max(colour.split(), key=len)
        return (
            thing(colour.replace(word, misspelled(rng, word)), noun),
            thing(colour, noun),
            thing(_other_colour(rng, look), noun),
        )
    word = max(noun.removeprefix("pair of ").split(), key=len)
    typed = noun.replace(word, misspelled(rng, word))
    return thing(colour, typed), thing(colour, noun), thing(colour, _other_type(rng, look))


def _short(rng, look, _):
    colour, noun = _words(rng, look)
    said = [
        OWNERS[look.gender].replace("'", ""),
        colour,
        noun.removeprefix("pair of "),
        pick(rng, PATTERN_WORDS[look.pattern]),
    ]
    asked = " ".join(said[i] for i in rng.permutation(4) if said[i]).lower()
    wrong = (colour, _other_type(rng, look)) if rng.random() < 0.5 else (_other_colour(rng, look), noun)
    pattern = PATTERN_WORDS[look.pattern][0]
    same, other = (thing(f"{OWNERS[look.gender]} {pattern} {a}", b) for a, b in ((colour, noun), wrong))
    return asked, f"The picture shows {same}.", f"The picture shows {other}."


def _colours(rng, look, _):
    if look.pattern not in PARTS:
        return None
    (colour, noun), second, part = _words(rng, look), pick(rng, COLOURS[look.second][1]), PARTS[look.pattern]
    bare = noun.removeprefix("pair of ") if noun.startswith("pair of ") else with_article(noun)
    return f"{thing(colour, noun)} with {second} {part}", *(
        f"{bare} in {a}, with {part} in {b}" for a, b in ((colour, second), (second, colour))
    )


def _negation(rng, look, _):
    colour, noun = _words(rng, look)
    if look.sleeve in ("Sleeveless", "Long Sleeves") and rng.random() < 0.5:
        said = ("without sleeves", "with bare arms"), "with long sleeves"
        if look.sleeve == "Long Sleeves":
            said = ("that is not sleeveless", "with long sleeves"), "without sleeves"
        return tuple(f"{thing(colour, noun)} {some}" for some in (*said[0], said[1]))
    if look.pattern == "Solid":
        part = PARTS[pick(rng, list(PARTS))]
        return (
            f"{thing(colour, noun)} without any {part}",
            thing(f"plain {colour}", noun),
            f"{thing(colour, noun)} with {part}",
        )
    if look.pattern not in PARTS:
        return None
    absent = pick(rng, [name for name in PARTS if name != look.pattern])
    has, lacks = PATTERN_WORDS[look.pattern][0], PATTERN_WORDS[absent][0]
    return (
        f"{thing(colour, noun)}, {has} and not {lacks}",
        f"{thing(colour, noun)}, only {has}",
        f"{thing(colour, noun)}, only {lacks}",
    )


def _relation(rng, look, background):
    colour, noun = _words(rng, look)
    place, what = pick(rng, PLACES[background]), thing(colour, noun)
    preposition = next(some for some in PREPOSITIONS if place.startswith(some))
    ground = place.removeprefix(preposition).strip()
    return f"{what} {place}", f"{place}, {what}", f"{preposition} {what}, {ground}"


def _two_objects(rng, look, others):
    others = [some for some in others if some.colour != look.colour]
    if not others:
        return None
    (a, x), (b, y) = _words(rng, look), _words(rng, pick(rng, others))
    x_bare, y_bare = (n.removeprefix("pair of ") if n.startswith("pair of ") else with_article(n) for n in (x, y))
    return (
        f"{thing(a, x)} and {thing(b, y)}",
        f"{x_bare} in {a} and {y_bare} in {b}",
        f"{x_bare} in {b} and {y_bare} in {a}",
    )


def _count(rng, look, others):
    what, n = thing(*_words(rng, look)), 1 + len(others)
    wrong = n + (1 if n < 3 or rng.random() < 0.5 else -1)
    return f"{what}, {n} products in all", *(f"a set of {NUMBERS[i]} products, among them {what}" for i in (n, wrong))


_ASK = dict(
    zip(
        (*KINDS, *KINDS_OF_OUTFITS),
        (_synonym, _unknown_word, _misspelling, _short, _colours, _negation, _relation, _two_objects, _count),
        strict=True,
    )
)
