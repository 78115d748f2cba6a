"""What there is to draw: the table of product types, and those of colours, patterns, finishes and backgrounds."""

from dataclasses import dataclass

from . import accessories, footwear, garments


@dataclass(frozen=True)
class Type:
    """A product type: its place in the tree of classes, how it is drawn, and the attributes it may have.

    A value that is listed twice is twice as likely.
    """

    name: str
    place: str  # "master category/sub-category"
    draw: object
    nouns: tuple  # for captions; one that starts with "pair of" may be a plural
    slot: str  # its place in an outfit: torso, legs, feet, whole, head, face, neck, hand or small
    finishes: tuple = ("cotton",)
    patterns: tuple = ("Solid",)
    genders: tuple = ("Men", "Women", "Unisex")
    seasons: tuple = ("Summer", "Fall", "Winter", "Spring")
    usages: tuple = ("Casual",)
    sleeves: tuple = ("",)
    necklines: tuple = ("",)
    turn: float = 18.0  # degrees either way
    zoom: float = 1.0
    unseen: bool = False  # kept for the split "unseen"

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
_ALL = (
    Type("Tshirts", "Apparel/Topwear", garments.tshirt, ("T-shirt", "tee"), "torso",
        patterns=(*ANY, "Colour Blocked", "Printed", "Printed"), usages=SPORTY, sleeves=("Short Sleeves",),
        necklines=("Crew Neck", "V-Neck", "Scoop Neck", "Polo Collar")),
    Type("Shirts", "Apparel/Topwear", garments.shirt, ("shirt", "button-down shirt"), "torso",
        patterns=("Solid", "Striped", "Checked", "Dotted", "Floral"), usages=SMART,
        sleeves=(*LONG, *LONG, *LONG, "Short Sleeves"), necklines=("Shirt Collar",)),
    Type("Tops", "Apparel/Topwear", garments.top, ("camisole", "strappy top"), "torso", finishes=("cotton", "shiny"),
        patterns=ANY, genders=WOMEN, seasons=MILD, usages=FESTIVE, sleeves=("Sleeveless",), necklines=("Scoop Neck",),
        zoom=1.2),
    Type("Sweatshirts", "Apparel/Topwear", garments.sweatshirt, ("hoodie", "hooded sweatshirt"), "torso",
        finishes=("cotton", "fleece"), patterns=(*CALM, "Camouflage"), seasons=COLD, usages=SPORTY, sleeves=LONG,
        necklines=("Hooded",), zoom=0.95),
    Type("Sweaters", "Apparel/Topwear", garments.sweater, ("sweater", "jumper", "pullover"), "torso",
        finishes=("knit",), patterns=("Solid", "Striped", "Zigzag", "Dotted", "Colour Blocked"), seasons=COLD,
        sleeves=LONG, necklines=("Turtleneck", "Crew Neck", "V-Neck"), zoom=0.95),
    Type("Jackets", "Apparel/Topwear", garments.jacket, ("jacket", "open jacket"), "torso",
        finishes=("leather", "cotton", "denim"), patterns=(*PLAIN_OR, "Camouflage"), seasons=COLD, usages=SMART,
        sleeves=LONG, necklines=("Lapel Collar",), zoom=0.95),
    Type("Jeans", "Apparel/Bottomwear", garments.jeans, ("pair of jeans", "pair of denims"), "legs",
        finishes=("denim",)),
    Type("Trousers", "Apparel/Bottomwear", garments.trousers, ("pair of trousers", "pair of pants"), "legs",
        patterns=PLAIN_OR, usages=SMART),
    Type("Shorts", "Apparel/Bottomwear", garments.shorts, ("pair of shorts", "pair of short trousers"), "legs",
        patterns=ANY, seasons=MILD, usages=SPORTY, zoom=1.15),
    Type("Skirts", "Apparel/Bottomwear", garments.skirt, ("skirt", "flared skirt"), "legs",
        finishes=("cotton", "shiny"), patterns=ANY, genders=WOMEN, usages=FESTIVE, zoom=1.1),
    Type("Dresses", "Apparel/Dress", garments.dress, ("dress", "frock"), "whole", finishes=("cotton", "shiny"),
        patterns=ANY, genders=WOMEN, seasons=(*MILD, "Fall"), usages=FESTIVE,
        sleeves=("Sleeveless", "Short Sleeves", "Long Sleeves"), necklines=("Scoop Neck",)),
    Type("Casual Shoes", "Footwear/Shoes", footwear.shoe_pair(footwear.casual_shoe),
        ("pair of sneakers", "pair of trainers"), "feet", finishes=("cotton", "leather"),
        patterns=("Solid", "Solid", "Checked", "Dotted", "Camouflage"), usages=SPORTY, turn=25),
    Type("Formal Shoes", "Footwear/Shoes", footwear.shoe_pair(footwear.formal_shoe),
        ("pair of lace-up shoes", "pair of dress shoes"), "feet", finishes=("leather", "patent"),
        genders=("Men", "Women"), usages=("Formal",), turn=25),
    Type("Heels", "Footwear/Shoes", footwear.shoe_pair(footwear.heel), ("pair of high heels", "pair of pumps"), "feet",
        finishes=("patent", "leather"), patterns=("Solid", "Solid", "Dotted", "Floral", "Striped"), genders=WOMEN,
        usages=("Party", "Formal"), turn=25),
    Type("Boots", "Footwear/Shoes", footwear.shoe_pair(footwear.boot), ("pair of boots", "pair of leather boots"),
        "feet", finishes=("leather",), seasons=COLD, turn=20),
    Type("Sandals", "Footwear/Sandal", footwear.shoe_pair(footwear.sandal),
        ("pair of sandals", "pair of strappy sandals"), "feet", finishes=("leather",),
        patterns=("Solid", "Solid", "Striped"), seasons=MILD, turn=25),
    Type("Flip Flops", "Footwear/Flip Flops", footwear.flip_flops, ("pair of flip-flops", "pair of beach slippers"),
        "feet", finishes=("rubber",), patterns=ANY, seasons=("Summer",), turn=60),
    Type("Handbags", "Accessories/Bags", accessories.handbag, ("handbag", "bag with handles"), "hand",
        finishes=("leather", "cotton"), patterns=(*CALM, "Dotted", "Floral", "Zigzag"), genders=WOMEN, usages=FESTIVE),
    Type("Backpacks", "Accessories/Bags", accessories.backpack, ("backpack", "rucksack"), "hand",
        finishes=("cotton", "leather"), patterns=(*ANY, "Solid"), usages=SPORTY),
    Type("Clutches", "Accessories/Bags", accessories.clutch, ("clutch", "envelope bag"), "hand",
        finishes=("leather", "shiny"), patterns=ANY, genders=WOMEN, usages=FESTIVE, turn=30),
    Type("Watches", "Accessories/Watches", accessories.watch, ("watch", "wristwatch"), "small", finishes=("leather",),
        patterns=("Solid", "Solid", "Striped"), usages=SMART, turn=70),
    Type("Sunglasses", "Accessories/Eyewear", accessories.sunglasses, ("pair of sunglasses", "pair of shades"), "face",
        finishes=("patent",), patterns=("Solid", "Solid", "Camouflage", "Dotted"), seasons=MILD, turn=35),
    Type("Caps", "Accessories/Headwear", accessories.cap, ("cap", "baseball cap"), "head",
        patterns=(*CALM, "Camouflage", "Dotted"), seasons=MILD, usages=SPORTY, turn=25),
    Type("Hats", "Accessories/Headwear", accessories.hat, ("hat", "brimmed hat"), "head", finishes=("fleece", "cotton"),
        patterns=PLAIN_OR, turn=25),
    Type("Belts", "Accessories/Belts", accessories.belt, ("belt", "waist belt"), "small", finishes=("leather",),
        patterns=("Solid", "Solid", "Striped"), usages=SMART, turn=60),
    Type("Ties", "Accessories/Ties", accessories.tie, ("tie", "necktie"), "small", finishes=("shiny",),
        patterns=("Solid", "Striped", "Checked", "Dotted", "Zigzag"), genders=("Men",), usages=("Formal",), turn=50),
    Type("Socks", "Accessories/Socks", accessories.socks, ("pair of socks", "pair of knitted socks"), "small",
        finishes=("knit",), patterns=("Solid", "Striped", "Dotted", "Zigzag", "Checked"), turn=35),
    Type("Scarves", "Accessories/Scarves", accessories.scarf, ("scarf", "fringed scarf"), "neck",
        finishes=("knit", "cotton"), patterns=("Solid", "Striped", "Checked", "Dotted", "Floral"), seasons=COLD,
        turn=25),
    Type("Waistcoat", "Apparel/Topwear", garments.waistcoat, ("waistcoat", "vest"), "torso", patterns=PLAIN_OR,
        genders=("Men",), usages=("Formal",), sleeves=("Sleeveless",), necklines=("V-Neck",), zoom=1.15, unseen=True),
    Type("Jumpsuit", "Apparel/Dress", garments.jumpsuit, ("jumpsuit", "one-piece suit"), "whole", patterns=ANY,
        genders=WOMEN, sleeves=("Sleeveless",), necklines=("Scoop Neck",), unseen=True),
    Type("Flats", "Footwear/Shoes", footwear.shoe_pair(footwear.flat), ("pair of ballerinas", "pair of flats"), "feet",
        finishes=("leather",), patterns=("Solid", "Dotted", "Floral"), genders=WOMEN, turn=25, unseen=True),
    Type("Trolley Bag", "Accessories/Bags", accessories.trolley, ("trolley bag", "wheeled suitcase"), "hand",
        finishes=("patent", "rubber"), patterns=("Solid", "Striped", "Dotted"), usages=("Travel",), unseen=True),
    Type("Gloves", "Accessories/Gloves", accessories.gloves, ("pair of gloves", "pair of finger gloves"), "small",
        finishes=("knit", "leather"), patterns=("Solid", "Striped", "Zigzag"), seasons=COLD, turn=40, unseen=True),
    Type("Umbrellas", "Accessories/Umbrellas", accessories.umbrella, ("umbrella", "rain umbrella"), "head",
        finishes=("shiny",), patterns=ANY, seasons=("Fall", "Spring"), turn=30, unseen=True),
)
# fmt: on

TYPES = {t.name: t for t in _ALL}
SEEN = [t.name for t in TYPES.values() if not t.unseen]
UNSEEN = [t.name for t in TYPES.values() if t.unseen]
MASK_VALUE = {name: value for value, name in enumerate(TYPES, start=1)}  # 0 is the background

# fmt: off
COLOURS = {  # names as in Fashion Product Images: sRGB, and the words a caption may use
    "Black": ((38, 38, 42), ("black",)), "White": ((236, 235, 230), ("white", "off-white")),
    "Grey": ((136, 139, 143), ("grey",)), "Navy Blue": ((34, 46, 92), ("navy blue", "navy", "dark blue")),
    "Blue": ((52, 108, 190), ("blue",)), "Turquoise Blue": ((42, 164, 172), ("turquoise", "teal")),
    "Green": ((52, 136, 72), ("green",)), "Olive": ((112, 116, 58), ("olive", "olive green")),
    "Yellow": ((234, 196, 58), ("yellow",)), "Orange": ((230, 126, 44), ("orange",)),
    "Red": ((200, 40, 46), ("red", "bright red")), "Maroon": ((112, 30, 48), ("maroon", "dark red")),
    "Pink": ((232, 138, 172), ("pink",)), "Purple": ((118, 74, 152), ("purple",)),
    "Brown": ((116, 76, 48), ("brown",)), "Beige": ((214, 192, 156), ("beige", "sand-coloured")),
}
DENIM_COLOURS = ("Blue", "Blue", "Navy Blue", "Black", "Grey", "White", "Olive", "Maroon")
PATTERNS = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage", "Colour Blocked", "Printed")
FINISHES = {  # gloss, strength of the grain, kind of grain
    "cotton": (0.0, 10, "speckle"), "denim": (0.0, 26, "twill"), "knit": (0.0, 26, "rib"),
    "fleece": (0.0, 18, "speckle"), "leather": (0.45, 10, "speckle"), "shiny": (0.35, 4, "speckle"),
    "patent": (0.8, 3, "speckle"), "rubber": (0.15, 4, "speckle"),
}
BACKGROUNDS = {  # and how often each occurs
    "Plain": 0.26, "Gradient": 0.14, "Wood": 0.1, "Tiles": 0.1, "Fabric": 0.08, "Shapes": 0.08, "Shelf": 0.08,
    "Bokeh": 0.08, "Marble": 0.08,
}
# fmt: on
