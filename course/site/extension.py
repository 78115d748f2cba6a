"""What Sphinx is told about the site: formulas are drawn, as in the reports, and both have the same colours and fonts.

A formula drawn as SVG needs no connection, where MathJax would be fetched.
"""

import re
from pathlib import Path

from course.report import formula
from course.report.pages import TEMPLATES

__all__ = ["palette", "setup", "style_sheet"]

STATIC = Path(__file__).parent / "static"


def setup(app) -> dict:
    """Called by Sphinx."""
    app.add_html_math_renderer("drawn", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    _write(translator, node, block=False)


def _block(translator, node):
    _write(translator, node, block=True)


def _write(translator, node, block):
    from docutils import nodes

    translator.body.append(formula(node.astext(), block))
    raise nodes.SkipNode


def palette() -> tuple[str, str]:
    """The colours of the reports, as CSS declarations: light and dark."""
    text = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{([^}]*)\}", text)
    return light.replace("color-scheme: light dark;", "").strip(), dark.strip()


def style_sheet() -> str:
    """static/site.css behind the palette, in the way in which the theme switches between light and dark."""
    light, dark = palette()
    rules = [
        f"body {{ {light} }}",
        f'body[data-theme="dark"] {{ {dark} }}',
        f'@media (prefers-color-scheme: dark) {{ body:not([data-theme="light"]) {{ {dark} }} }}',
        (STATIC / "site.css").read_text(encoding="utf-8"),
    ]
    return "\n".join(rules)
