"""Reports of a run: one page a notebook, an index of what was measured and claimed, the tables as text.

Pages are single files that need no connection: styles are inside, pictures too (those of the index lie beside it),
formulas are drawn. They follow the reader's light or dark setting, fit a phone, and run no script.
"""

from course.report.formulas import formula
from course.report.pages import first_figure, index_page, link_profiles, notebook_page
from course.report.terminal import claims_text, measures_text, text_table

__all__ = [
    "claims_text",
    "first_figure",
    "formula",
    "index_page",
    "link_profiles",
    "measures_text",
    "notebook_page",
    "text_table",
]
