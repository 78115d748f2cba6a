"""Draw the two figures of the README from the catalogue:  python docs/draw_figures.py

catalogue.jpg   a few products and outfits of the test split
one_query.jpg   one query and its five nearest neighbours through three descriptors
"""

from pathlib import Path

import numpy as np
from PIL import Image

from course import catalogue
from lib import collection, descriptors, indexes, plots, relevance

HERE = Path(__file__).resolve().parent
COLUMNS, ROWS, K = 12, 3, 5


def sheet(images, columns):
    """uint8 (n, h, w, 3) as one picture of n / columns rows."""
    n, height, width, _ = images.shape
    rows = images.reshape(n // columns, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(-1, columns * width, 3)


def one_query(products):
    """The query on which the three descriptors differ most: a Figure."""
    images, labels = products.images(96), products.table["label"].to_numpy()
    embeddings = {
        "colour histogram": descriptors.colour_histogram(images, square_root=True),
        "pixels (PCA)": descriptors.PixelPCA(64).fit(images).transform(images),
        "HOG": descriptors.hog(images, cell=16),
    }
    neighbours = {name: indexes.search_leave_self_out(rows, K)[1] for name, rows in embeddings.items()}
    right = {name: relevance.same_class(found, labels, labels) for name, found in neighbours.items()}
    spread = np.std([right[name].mean(axis=1) for name in neighbours], axis=0)
    query = int(spread.argmax())
    return plots.retrieval_grid(
        images[[query] * len(neighbours)],
        images[[neighbours[name][query] for name in neighbours]],
        [right[name][query] for name in neighbours],
        query_titles=list(neighbours),
        neighbour_titles=[labels[neighbours[name][query]].tolist() for name in neighbours],
    )


if __name__ == "__main__":
    test = collection.read(catalogue.write(), "test")
    some = np.random.default_rng(1).permutation(len(test))[: COLUMNS * ROWS]
    Image.fromarray(sheet(test.subset(some).images(96), COLUMNS)).save(HERE / "catalogue.jpg", quality=88)
    one_query(test.where("kind", "single")).savefig(HERE / "one_query.png", dpi=100)
    Image.open(HERE / "one_query.png").convert("RGB").save(HERE / "one_query.jpg", quality=88)
    (HERE / "one_query.png").unlink()
