"""The tree of classes above WordNet identifiers."""

from pathlib import Path

import pandas as pd

from course.collections.layouts.files import lines


def class_tree(is_a, words, leaves):
    """classes.csv: the leaves and all above them.

    is_a: wordnet.is_a.txt, lines `parent child`, of several parents the first is taken; words: words.txt, lines
    `class<tab>name`. ValueError for a leaf without parent and a class without name.
    """
    pairs = [line.strip().split(" ", 1) for _, line in lines(Path(is_a))]
    names = dict(line.strip().split("\t", 1) for _, line in lines(words))
    parents = {}
    for parent, child in pairs:
        parents.setdefault(child, parent)
    level, above = set(leaves), set(leaves)
    while level := {parents[node] for node in level if node in parents} - above:
        above |= level
    lacking = sorted(set(leaves) - parents.keys()) or sorted(above - names.keys())
    if lacking:
        raise ValueError(f"expected a parent in {is_a} and a name in {words}, found none for {lacking[0]}")
    rows = [[node, parents.get(node, ""), names[node], int(node in set(leaves))] for node in sorted(above)]
    return pd.DataFrame(rows, columns=["class", "parent", "name", "leaf"])
