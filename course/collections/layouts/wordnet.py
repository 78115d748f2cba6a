"""The tree of classes above WordNet identifiers."""

from pathlib import Path

import pandas as pd

from course.collections.layouts.files import lines


def class_tree(is_a, words, leaves):
    """classes.csv: the leaves and all above them.

    is_a: wordnet.is_a.txt, lines `parent child`, of several parents the first is taken; words: words.txt, lines
    `class<tab>name`. ValueError for a leaf without parent, a loop, or a class without name.
    """
    pairs = [line.strip().split(" ", 1) for _, line in lines(Path(is_a))]
    names = dict(line.strip().split("\t", 1) for _, line in lines(words))
    parents = {}
    for parent, child in pairs:
        parents.setdefault(child, parent)
    above = set()
    for leaf in leaves:
        if leaf not in parents:
            raise ValueError(f"{is_a}: no parent of {leaf}")
        path, node = set(), leaf
        while node in parents and node not in above:
            if node in path:
                raise ValueError(f"{is_a}: {node} lies above itself")
            path.add(node)
            node = parents[node]
        above |= {*path, node}
    nameless = sorted(above - names.keys())
    if nameless:
        raise ValueError(f"{words}: no name of {len(nameless)} classes, first {nameless[0]}")
    rows = [[node, parents.get(node, ""), names[node], int(node in set(leaves))] for node in sorted(above)]
    return pd.DataFrame(rows, columns=["class", "parent", "name", "leaf"])
