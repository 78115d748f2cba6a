"""The site: the course as pages that open from the disk without a connection, written from what is committed.

sources.py        the pages of the repository and the notebooks, copied where Sphinx finds them, their links made to fit
front.py          the front page, the gallery of figures
findings.py       what was measured and claimed on the drawn catalogue, on photos and on real collections, side by side
api.py            lib's pages, from its signatures and docstrings
extension.py      formulas that are drawn, and the colours of the reports
build.py          all of it, and the search for dead links
openings.py       the links at the top of each notebook, and the map of the course
figures.py        each figure of a run as PNG and SVG, for slides
"""
