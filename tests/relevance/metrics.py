"""Measures of a ranking against judgements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first k.

    Järvelin & Kekäläinen (2002), ACM TOIS 20:4, with the gain 2^grade - 1.
    """
    best = sorted(grades.values(), reverse=True)[:k]
    found = [grades.get(one, 0) for one in ranked[:k]]
    return _dcg(found) / _dcg(best)


def _dcg(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
