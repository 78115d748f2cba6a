"""Local descriptors: keypoints, the words they are quantised to, and whether matched ones fit a common geometry.

An image without a keypoint has a row of zeros, which a cosine search refuses; a `NoKeypointsWarning` names it. ORB's
256 bits, packed in 32 bytes, become 256 numbers of 0 and 1 for words: squared Euclidean distance is Hamming distance.

Needs numpy, OpenCV (keypoints, matching, RANSAC) and FAISS (k-means). Copy this file alone.
"""

import warnings
from numbers import Integral, Real
from typing import NamedTuple

import cv2
import faiss
import numpy as np


class NoKeypointsWarning(UserWarning):
    """Some images have no keypoint; their rows are zero. The message counts and names them, `.rows` holds them all."""

    def __init__(self, rows, n):
        self.rows = rows
        named = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
        super().__init__(f"{len(rows)} of {n} images have no keypoint, their rows are zero: {named}")


class Keypoints(NamedTuple):
    """The m keypoints of one image: where they are, and what they look like."""

    xy: np.ndarray  # float32 (m, 2), pixels from the left and from the top
    descriptors: np.ndarray  # SIFT: float32 (m, 128); ORB: uint8 (m, 32), 256 packed bits
    height: int  # of the image, in pixels
    width: int


def keypoints(images, kind="sift", **settings):
    """The "sift", "orb" or "dense_sift" keypoints of each image: a list of `Keypoints`, in the order of the images.

    images: uint8, RGB (h, w, 3) or grey (h, w), any size. `settings`: of the function `kind`. ValueError names the row.
    """
    kinds = {"sift": sift, "orb": orb, "dense_sift": dense_sift}
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}, got {kind!r}")
    found = []
    for row, image in enumerate(images):
        try:
            found.append(kinds[kind](image, **settings))
        except ValueError as error:
            raise ValueError(f"image {row}: {error}") from error
    return found


def sift(image, n_max=0, contrast=0.04, root=False):
    """Blobs found at their own scale and turned to their own direction (Lowe, IJCV 2004): 128 numbers each.

    n_max: keep that many of the strongest, 0 for all. contrast: weaker blobs are dropped. root: give `root_sift`.
    >>> blob = cv2.GaussianBlur(np.pad(np.full((8, 8), 255, np.uint8), 28), (0, 0), 3)
    >>> np.unique(sift(blob).xy.round(), axis=0).tolist()  # its centre, often: it is round, any direction fits
    [[32.0, 32.0]]
    """
    _check_settings(Integral, 0, n_max=n_max)
    _check_settings(Real, 0, contrast=contrast)
    grey = _grey(image)
    points, descriptors = cv2.SIFT_create(nfeatures=n_max, contrastThreshold=contrast).detectAndCompute(grey, None)
    return _as_keypoints(grey, points, descriptors, 128, root)


def orb(image, n_max=500, patch=31, contrast=20):
    """Corners with a direction, and 256 comparisons of grey around each (Rublee, ICCV 2011): 32 bytes each.

    n_max: at most that many. patch: side of the square and distance to the rim, in pixels. contrast: in grey values.
    """
    _check_settings(Integral, 0, n_max=n_max, contrast=contrast)
    _check_settings(Integral, 1, patch=patch)
    grey = _grey(image)
    if min(grey.shape) <= 2 * patch:
        return _as_keypoints(grey, (), None, 32, root=False)
    detector = cv2.ORB_create(nfeatures=n_max, edgeThreshold=patch, patchSize=patch, fastThreshold=contrast)
    points, descriptors = detector.detectAndCompute(grey, None)
    return _as_keypoints(grey, points, descriptors, 32, root=False)


def dense_sift(image, step=8, patches=(16,), root=False, blur=0.8):
    """SIFT descriptors of upright squares on a regular grid: nothing is detected, so smooth regions speak too.

    step: pixels between centres. patches: sides of the squares in pixels, each with a grid of its own. blur: standard
    deviation of the smoothing before, in pixels (the photo's own is taken for 0.5). root: give `root_sift`. Order:
    patch, row, column. Without any gradient: zeros. After Lazebnik, Schmid and Ponce, CVPR 2006: 16 pixels, 8 apart.
    >>> dense_sift(np.zeros((16, 32), np.uint8), step=8, patches=(16,)).xy.tolist()
    [[8.0, 8.0], [16.0, 8.0], [24.0, 8.0]]
    """
    grey = _grey(image)
    patches = np.asarray(patches).tolist()
    _check_settings(Real, 0.5, blur=blur)
    if not 1 <= step < np.inf or not len(patches) or not 1 <= min(patches) <= max(patches) < np.inf:
        raise ValueError(f"step and every patch must be at least 1 pixel, got {step} and {patches!r}")
    height, width = grey.shape
    points = [
        cv2.KeyPoint(float(x), float(y), patch / 6, 0)  # OpenCV describes a square of 6 times the size that it is told
        for patch in patches
        for y in np.arange(patch / 2, height - patch / 2 + 0.5, step)
        for x in np.arange(patch / 2, width - patch / 2 + 0.5, step)
    ]
    if not points:
        return _as_keypoints(grey, (), None, 128, root)
    return _as_keypoints(grey, *cv2.SIFT_create(sigma=blur).compute(grey, points), 128, root)


def root_sift(descriptors):
    """Rows scaled to sum 1 (or zeros), then square roots, float32: Hellinger distance (Arandjelovic et al., CVPR 2012).
    >>> print(root_sift(np.array([[1, 1, 2]], np.float32)).round(3))
    [[0.5   0.5   0.707]]
    """
    descriptors = np.asarray(descriptors, dtype=np.float32)
    if descriptors.ndim != 2 or not (np.isfinite(descriptors) & (descriptors >= 0)).all():
        raise ValueError(f"descriptors must be (n, d), finite and at least 0, got shape {descriptors.shape}")
    total = descriptors.sum(axis=1, keepdims=True)
    return np.sqrt(descriptors / np.where(total > 0, total, 1)).astype(np.float32)


class BagOfVisualWords:
    """How often each visual word occurs in an image, and in which part of it: float32 (n, d), rows of length 1.

    `fit(keypoints)` finds `n_words` words, float32 (n_words, d), by k-means over at most `n_sample` random descriptors
    (Sivic and Zisserman, ICCV 2003); `transform(keypoints)` counts the keypoints nearest to each. An image's counts:
    1. are divided by its number of keypoints, and with `tf_idf` multiplied by log((1 + n) / (1 + n_with_word)) + 1 over
       the n images of `fit`, as in scikit-learn: without the + 1 a word of every image would count for nothing;
    2. with `levels` above 1 are made once for each cell of grids of 1 x 1, 2 x 2, 4 x 4, ... cells. Level l of 0..L
       (levels = L + 1) weighs 1 / 2^(L - l + 1), the whole image 1 / 2^L: a spatial pyramid (Lazebnik et al., CVPR
       2006). Columns run over level, cell row, cell column, word: d = n_words * (1 + 4 + 16 + ...);
    3. are raised to `power` (0.5 gives the Hellinger kernel), and divided by the length of the row.
    The same `seed` and threads give the same words. ValueError: fewer descriptors than words, mixed kinds, no `fit`.
    >>> looks = np.array([0, 0, 0, 9, 9, 9, 9], np.float32)[:, None]  # one-number "descriptors" in a 10 x 10 image
    >>> images = [Keypoints(np.full((7, 2), 5.0), looks, 10, 10)]
    >>> print(np.sort(BagOfVisualWords(2, tf_idf=False).fit(images).transform(images)).round(2))  # 3 and 4, over 5
    [[0.6 0.8]]
    """

    def __init__(self, n_words, tf_idf=True, levels=1, power=1.0, seed=0, n_sample=100_000):
        if not (1 <= n_words < 2**31 and 1 <= levels < 16 and 0 < power < np.inf):
            raise ValueError(f"n_words and levels must be at least 1, power above 0, got {n_words}, {levels}, {power}")
        self.n_words, self.tf_idf, self.levels = n_words, tf_idf, levels
        self.power, self.seed, self.n_sample = power, seed, n_sample

    def fit(self, keypoints):
        keypoints = _checked(keypoints)
        self.words = _vocabulary(keypoints, self.n_words, self.seed, self.n_sample)
        n_with_word = sum((counts > 0).sum(axis=0) for _, counts in self._count(keypoints, levels=1))
        self.idf = np.log((1 + len(keypoints)) / (1 + n_with_word)) + 1  # (n_words,)
        return self

    def transform(self, keypoints):
        keypoints = _checked(keypoints)
        _check_before_transform(self, keypoints)
        levels = np.arange(self.levels)
        of_levels = 0.5 ** np.minimum(self.levels - levels, self.levels - 1)
        weights = np.repeat(of_levels, 4**levels * self.n_words)  # (d,)
        if self.tf_idf:
            weights = weights * np.tile(self.idf, len(weights) // self.n_words)
        rows = np.zeros((len(keypoints), len(weights)), np.float32)
        for batch, counts in self._count(keypoints, self.levels):
            n_keypoints = counts[:, : self.n_words].sum(axis=1, keepdims=True)  # level 0 has each keypoint once
            rows[batch] = _unit_rows((counts / np.maximum(n_keypoints, 1) * weights) ** self.power)
        return rows

    def _count(self, keypoints, levels):
        """How often each word is in each cell: slices of images, each with int64 (images, cells * n_words)."""
        for batch, word, n_keypoints in _nearest_words(self.words, keypoints):
            n = len(n_keypoints)
            image = np.repeat(np.arange(n), n_keypoints)
            place = np.concatenate([one.xy / np.array([one.width, one.height]) for one in keypoints[batch]])  # (m, 2)
            blocks = []
            for level in range(levels):
                cells = 2**level
                column, row = np.clip((place * cells).astype(np.intp), 0, cells - 1).T
                bins = ((image * cells + row) * cells + column) * self.n_words + word
                d = cells**2 * self.n_words
                blocks.append(np.bincount(bins, minlength=n * d).reshape(n, d))
            yield batch, np.concatenate(blocks, axis=1)


class VLAD:
    """Residuals of descriptors from their nearest words, summed by word: float32 (n, n_words * d), rows of length 1.

    `transform(keypoints)` sums, for each word, the differences from it of the descriptors nearest to it; then x becomes
    sign(x) * |x|^`power` (0.5 tames bursts, as of a brick wall). A few dozen words are enough. `fit`, `seed`,
    `n_sample`, `words` and the errors are those of `BagOfVisualWords`. Jegou et al., CVPR 2010 and PAMI 2012 (power).
    >>> image = Keypoints(np.zeros((2, 2)), np.array([[1, 0], [5, 3]], np.float32), 10, 10)
    >>> vlad = VLAD(1, power=1.0).fit([image])  # its word is the mean, 3 and 1.5
    >>> query = Keypoints(np.zeros((1, 2)), np.array([[6, 5.5]], np.float32), 10, 10)
    >>> print(vlad.transform([query]).round(3))  # 3 and 4 away from it, divided by 5
    [[0.6 0.8]]
    """

    def __init__(self, n_words, power=0.5, seed=0, n_sample=100_000):
        if not (1 <= n_words < 2**31 and 0 < power < np.inf):
            raise ValueError(f"n_words must be at least 1, power above 0, got {n_words}, {power}")
        self.n_words, self.power, self.seed, self.n_sample = n_words, power, seed, n_sample

    def fit(self, keypoints):
        keypoints = _checked(keypoints)
        self.words = _vocabulary(keypoints, self.n_words, self.seed, self.n_sample)
        return self

    def transform(self, keypoints):
        keypoints = _checked(keypoints)
        _check_before_transform(self, keypoints)
        rows = np.zeros((len(keypoints), self.words.size), np.float32)
        for batch, word, n_keypoints in _nearest_words(self.words, keypoints):
            words_of = np.split(word, np.cumsum(n_keypoints)[:-1])
            for row, one, nearest in zip(range(batch.start, batch.stop), keypoints[batch], words_of, strict=True):
                belongs = (nearest == np.arange(self.n_words)[:, None]).astype(np.float32)  # (n_words, m)
                sums = belongs @ (_as_numbers(one.descriptors) - self.words[nearest])  # (n_words, d)
                rows[row] = (np.sign(sums) * np.abs(sums) ** self.power).ravel()
        return _unit_rows(rows)


def mark_empty_rows(embeddings):
    """One more column: 1 for a row of zeros, 0 for every other. float32 (n, d + 1), no row of which is zero.

    In a cosine search an image without a keypoint is then at distance 0 from others without one, and 1 from the rest.
    >>> print(mark_empty_rows(np.array([[0.6, 0.8], [0.0, 0.0]], np.float32)))
    [[0.6 0.8 0. ]
     [0.  0.  1. ]]
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2:
        raise ValueError(f"expected embeddings of shape (n, d), got {embeddings.shape}")
    return np.column_stack([embeddings, ~embeddings.any(axis=1)]).astype(np.float32)


def match(query, gallery, ratio=0.8):
    """Keypoints of two images that look alike, and unlike all others: int64 (m, 2), a row of each, by row of the query.

    A keypoint of the query is matched to its nearest in the gallery's if that is nearer than `ratio` times the second
    nearest (Lowe's test; Euclidean distance, for ORB Hamming). None if the gallery's image has fewer than 2 keypoints.
    >>> a = Keypoints(np.zeros((2, 2)), np.array([[0.0], [5.0]], np.float32), 10, 10)
    >>> b = Keypoints(np.zeros((3, 2)), np.array([[9.0], [1.0], [5.2]], np.float32), 10, 10)
    >>> match(a, b).tolist()
    [[0, 1], [1, 2]]
    """
    _check_settings(Real, 0, ratio=ratio)
    query, gallery = _checked([query, gallery])
    if len(query.xy) < 1 or len(gallery.xy) < 2:
        return np.zeros((0, 2), np.int64)
    kind, other_kind = ((one.descriptors.dtype, one.descriptors.shape[1]) for one in (query, gallery))
    if kind != other_kind:
        raise ValueError(f"expected descriptors of one kind, got {kind} and {other_kind}")
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING if kind[0] == np.uint8 else cv2.NORM_L2)
    two_nearest = matcher.knnMatch(query.descriptors, gallery.descriptors, k=2)
    good = [(a.queryIdx, a.trainIdx) for a, second in two_nearest if a.distance < ratio * second.distance]
    return np.array(good, np.int64).reshape(len(good), 2)


def count_inliers(query, gallery, model="similarity", ratio=0.8, tolerance=5.0, seed=0):
    """How many matched keypoints agree on one movement of the image, found by RANSAC (Fischler and Bolles, 1981): int.

    model: "similarity" (shift, turn, scale: 2 matches fix it) or "homography" (a plane seen from elsewhere: 4). A
    match agrees if the movement brings it to within `tolerance` pixels. With as many as fix the model it is 0.
    >>> rng = np.random.default_rng(0)
    >>> a = Keypoints(rng.uniform(0, 50, (9, 2)).astype(np.float32), 100 * np.eye(9, dtype=np.float32), 50, 50)
    >>> moved = Keypoints(a.xy * 2 + np.float32([3, 4]), a.descriptors, 100, 100)
    >>> count_inliers(a, moved)
    9
    """
    needed = {"similarity": 2, "homography": 4}
    if model not in needed:
        raise ValueError(f"model must be one of {', '.join(needed)}, got {model!r}")
    _check_settings(Real, 0, tolerance=tolerance)
    pairs = match(query, gallery, ratio)
    if len(pairs) <= needed[model]:
        return 0
    there, here = (np.asarray(one.xy, np.float32)[rows] for one, rows in zip((query, gallery), pairs.T, strict=True))
    cv2.setRNGSeed(seed)
    find = cv2.estimateAffinePartial2D if model == "similarity" else cv2.findHomography
    movement, inlier = find(there, here, method=cv2.RANSAC, ransacReprojThreshold=tolerance)
    return 0 if movement is None else int(inlier.sum())


def geometric_rerank(queries, gallery, neighbours, **settings):
    """The neighbours of each query by their inliers, most first: neighbours int64 (q, k), inliers int64 (q, k).

    queries, gallery: lists of `Keypoints`; neighbours (q, k): gallery rows from a first search, best first. Equals keep
    their order. `settings` go to `count_inliers`. ValueError if the rows do not fit the lists.
    >>> rng = np.random.default_rng(0)
    >>> wall, door = (rng.uniform(0, 99, (9, 2)).astype(np.float32) for _ in range(2))
    >>> looks = 100 * np.eye(9, dtype=np.float32)
    >>> gallery = [Keypoints(door, looks, 100, 100), Keypoints(wall + 20, looks, 100, 100)]
    >>> neighbours, inliers = geometric_rerank([Keypoints(wall, looks, 100, 100)], gallery, np.array([[0, 1]]))
    >>> neighbours.tolist(), int(inliers[0, 0])
    ([[1, 0]], 9)
    """
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or neighbours.dtype.kind not in "iu" or len(neighbours) != len(queries):
        expected, got = f"integers ({len(queries)}, k), one row a query", f"{neighbours.dtype} {neighbours.shape}"
        raise ValueError(f"expected neighbours as {expected}, got {got}")
    if neighbours.size and not 0 <= neighbours.min() <= neighbours.max() < len(gallery):
        got = f"{neighbours.min()} to {neighbours.max()}"
        raise ValueError(f"neighbours must be gallery rows, 0 to {len(gallery) - 1}, got {got}")
    inliers = np.zeros(neighbours.shape, np.int64)
    for row, query in enumerate(queries):
        inliers[row] = [count_inliers(query, gallery[neighbour], **settings) for neighbour in neighbours[row]]
    order = np.argsort(-inliers, axis=1, kind="stable")
    return np.take_along_axis(neighbours.astype(np.int64), order, 1), np.take_along_axis(inliers, order, 1)


def _grey(image):
    image = np.asarray(image)
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise ValueError(f"expected a uint8 image (h, w, 3) or (h, w), got {image.dtype} {image.shape}")
    return np.ascontiguousarray(image) if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _check_settings(kind, least, **settings):
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= 1_000_000:
            what = "an integer" if kind is Integral else "a number"
            raise ValueError(f"{name} must be {what} from {least} to a million, got {value!r}")


def _checked(keypoints):
    """The keypoints as arrays that OpenCV and FAISS take (neither says no to any other), or a ValueError."""
    found = []
    for row, one in enumerate(keypoints):
        xy, looks = np.asarray(one.xy), np.asarray(one.descriptors)
        looks = np.ascontiguousarray(looks, np.uint8 if looks.dtype == np.uint8 else np.float32)
        has_shape = looks.ndim == 2 and xy.shape == (len(looks), 2) and looks.shape[1] > 0
        if not (has_shape and np.isfinite(xy).all() and (np.abs(looks) < 1e15).all()):  # squares are float32
            raise ValueError(f"image {row}: expected finite xy (m, 2), looks (m, d), got {xy.shape}, {looks.shape}")
        found.append(one._replace(xy=np.ascontiguousarray(xy, np.float32), descriptors=looks))
    return found


def _as_keypoints(grey, points, descriptors, d, root):
    xy = np.array([point.pt for point in points], np.float32).reshape(len(points), 2)
    if descriptors is None:
        descriptors = np.zeros((0, d), np.uint8 if d == 32 else np.float32)
    return Keypoints(xy, root_sift(descriptors) if root else descriptors, *grey.shape)


def _as_numbers(descriptors):
    if descriptors.dtype == np.uint8:
        descriptors = np.unpackbits(descriptors, axis=1)
    return np.ascontiguousarray(descriptors, np.float32)


def _vocabulary(keypoints, n_words, seed, n_sample):
    """Centres of k-means over at most n_sample descriptors of all images: float32 (n_words, d)."""
    kinds = {(one.descriptors.dtype, one.descriptors.shape[1]) for one in keypoints}
    if len(kinds) > 1:
        raise ValueError(f"expected descriptors of one kind, got {sorted(map(str, kinds))}")
    ends = np.cumsum([len(one.xy) for one in keypoints])
    total = int(ends[-1]) if len(ends) else 0
    if total < n_words:
        raise ValueError(f"expected {n_words} descriptors or more, one a word, got {total} in {len(keypoints)} images")
    rows = np.arange(total)
    if total > n_sample:
        rows = np.sort(np.random.default_rng(seed).choice(total, n_sample, replace=False))
    parts = zip(keypoints, np.split(rows, np.searchsorted(rows, ends[:-1])), ends, strict=True)
    sample = np.concatenate([_as_numbers(one.descriptors[part - end + len(one.xy)]) for one, part, end in parts])
    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": n_sample}
    kmeans = faiss.Kmeans(sample.shape[1], n_words, niter=20, seed=seed, **limits)
    kmeans.train(sample)
    return kmeans.centroids


def _nearest_words(words, keypoints, batch=256):
    """Of each batch of images: its slice, the nearest word of all its keypoints, and how many each image has."""
    index = faiss.IndexFlatL2(words.shape[1])
    index.add(words)
    for start in range(0, len(keypoints), batch):
        some = keypoints[start : start + batch]
        n_keypoints = np.array([len(one.xy) for one in some])
        word = np.zeros(0, np.int64)
        if n_keypoints.any():
            descriptors = np.concatenate([_as_numbers(one.descriptors) for one in some if len(one.xy)])
            (_, d), (_, found) = words.shape, descriptors.shape
            if found != d:
                raise ValueError(f"expected descriptors of {d} numbers, as the words, got {found}")
            word = index.search(descriptors, 1)[1][:, 0]
        yield slice(start, start + len(some)), word, n_keypoints


def _check_before_transform(model, keypoints):
    if not hasattr(model, "words"):
        raise ValueError("call fit before transform")
    rows = [row for row, one in enumerate(keypoints) if not len(one.xy)]
    if rows:
        warnings.warn(NoKeypointsWarning(rows, len(keypoints)), stacklevel=3)


def _unit_rows(rows):
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
