"""TeX formulas as drawings in a page, since a report must not need a connection to show them."""

import html
import re

__all__ = ["formula"]

# TeX that matplotlib does not know, spelled as it does: (what stands there, what it is read as)
SPELLED = [
    (r"\\[lr]Vert\b", r"\\Vert"),
    (r"\\([lg])e(?![a-zA-Z])", r"\\\1eq"),
    (r"\\tfrac(?![a-zA-Z])", r"\\frac"),
    (r"\\(math[a-z]+) (\w)", r"\\\1{\2}"),  # one letter without braces
    (r"\\frac *(\w)", r"\\frac{\1}"),
    (r"\\frac(\{\w\}) *(\w)", r"\\frac\1{\2}"),
]
LARGER = r"\\[Bb]ig[lr]? *"  # brackets of a size: those that open and close grow with what is between them


def formula(tex: str, block: bool = False) -> str:
    """TeX mathematics as an inline SVG in the colour of the text; as code where matplotlib does not know a command.

    >>> formula("x^2").startswith('<svg class="formula"')
    True
    >>> formula("not closed {")
    '<code>not closed {</code>'
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser
    from matplotlib.textpath import TextPath

    size = 95  # of a letter, in units of the drawing: a little larger than the text around it
    font = FontProperties(size=size, math_fontfamily="stix")
    text = f"${' '.join(tex.split())}$"
    for there, read_as in SPELLED:
        text = re.sub(there, read_as, text)
    text = re.sub(LARGER + r"(?=[(\[])", r"\\left", re.sub(LARGER + r"(?=[)\]])", r"\\right", text))
    scale = 90
    if block:  # as TeX does: larger, and fractions in full height
        text, scale = text.replace("\\frac", "\\dfrac"), 78
    try:
        measured = MathTextParser("path").parse(text, dpi=72, prop=font)
        path = TextPath((0, 0), text, prop=font)
    except ValueError:
        return f"<code>{html.escape(tex.strip())}</code>"
    letters = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # the codes of matplotlib.path.Path
    steps = [
        letters[int(code)] + ("" if code == 79 else " ".join(f"{number:.1f}" for number in points))
        for points, code in path.iter_segments(simplify=False)
    ]
    wide, high, deep = measured[0] + 2, measured[1] + 2, measured[2] + 1
    box = f"0 {deep - high:.1f} {wide:.1f} {high:.1f}"
    place = f"width:{wide / scale:.3f}em;height:{high / scale:.3f}em;vertical-align:{-deep / scale:.3f}em"
    label = html.escape(tex.strip(), quote=True)
    drawing = (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{place}">'
        f'<path transform="scale(1,-1)" d="{"".join(steps)}"/></svg>'
    )
    return f'<span class="block">{drawing}</span>' if block else drawing
