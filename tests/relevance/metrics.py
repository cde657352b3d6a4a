"""Measures of a ranking against judgements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first `k`, 0 to 1.

    Järvelin & Kekäläinen (2002), ACM TOIS 20(4), with the gain 2^grade - 1 and the discount
    log2(rank + 1). The ideal is the best order of everything judged, so a missing hit costs too.

    Args:
        ranked: References, best first, each at most once.
        grades: Grade by reference; what is not in it is not relevant.
        k: How many of the first hits count.

    Raises:
        ValueError: `ranked` names a reference twice, or `grades` has nothing relevant.
    """
    _check(ranked, grades)
    ideal = _dcg(sorted(grades.values(), reverse=True)[:k])
    return _dcg([grades.get(reference, 0) for reference in ranked[:k]]) / ideal


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return which part of the relevant references is among the first `k`, 0 to 1.

    With more than `k` relevant references even a perfect ranking stays below 1.

    Args:
        ranked: References, best first, each at most once.
        grades: Grade by reference; any grade above 0 is relevant.
        k: How many of the first hits count.

    Raises:
        ValueError: `ranked` names a reference twice, or `grades` has nothing relevant.
    """
    _check(ranked, grades)
    relevant = {reference for reference, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant)


def _check(ranked: Sequence[str], grades: Mapping[str, int]) -> None:
    if len(set(ranked)) != len(ranked):
        raise ValueError("ranked: a reference is there twice; pass every hit once")
    if not any(grade > 0 for grade in grades.values()):
        raise ValueError("grades: nothing is relevant; pass at least one grade above 0")


def _dcg(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
