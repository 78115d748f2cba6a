"""Pictures for exercises: products of the catalogue, drawn for one student."""

import numpy as np
import pandas as pd

from course import catalogue


def products(rng, n: int, types=catalogue.SEEN, kind="single", size=48):
    """n drawn images uint8 (n, size, size, 3), their masks uint8 (n, size, size) and a table, a row an image."""
    seed = int(rng.integers(2**31))
    drawn = [catalogue.draw(i, str(rng.choice(list(types))), kind, size, seed) for i in range(n)]
    images, masks, rows = zip(*drawn, strict=True)
    return np.stack(images), np.stack(masks), pd.DataFrame(rows)
