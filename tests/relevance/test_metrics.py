"""The measures on cases worked out by hand."""

from __future__ import annotations

import pytest

from relevance.metrics import ndcg, recall

# Gains: grade 2 is 3, grade 1 is 1. Discounts by rank: 1, 1.584963, 2, 2.321928.


def test_ndcg_of_the_best_order_is_one() -> None:
    assert ndcg(["a", "b", "c"], {"a": 2, "b": 1, "c": 1}) == 1


def test_ndcg_of_nothing_found_is_zero() -> None:
    assert ndcg([], {"a": 1}) == 0
    assert ndcg(["x", "y"], {"a": 1}) == 0


def test_ndcg_of_swapped_grades() -> None:
    # (1 + 3 / 1.584963) / (3 + 1 / 1.584963) = 2.892789 / 3.630930
    assert ndcg(["b", "a"], {"a": 2, "b": 1}) == pytest.approx(0.796708, abs=1e-6)


def test_ndcg_counts_what_is_missing_and_what_does_not_belong() -> None:
    # x, a, y, b against the ideal a, b, c:
    # (3 / 1.584963 + 1 / 2.321928) / (3 + 1 / 1.584963 + 1 / 2) = 2.323466 / 4.130930
    grades = {"a": 2, "b": 1, "c": 1}
    assert ndcg(["x", "a", "y", "b"], grades) == pytest.approx(0.562456, abs=1e-6)


def test_ndcg_looks_at_the_first_k_only() -> None:
    # Of the two only "b" is within 1; the ideal of 1 is "a": 1 / 3.
    assert ndcg(["b", "a"], {"a": 2, "b": 1}, k=1) == pytest.approx(1 / 3)
    # Eleven relevant ones: the ideal of the first ten is reached without the eleventh.
    names = [f"r{number}" for number in range(11)]
    assert ndcg(names[:10], dict.fromkeys(names, 1)) == 1


def test_ndcg_does_not_mind_the_order_among_equals() -> None:
    grades = {"a": 1, "b": 1}
    assert ndcg(["a", "b"], grades) == ndcg(["b", "a"], grades) == 1


def test_recall() -> None:
    grades = {"a": 2, "b": 1, "c": 1, "d": 0}
    assert recall(["a", "x", "b"], grades, 10) == pytest.approx(2 / 3)
    assert recall(["a", "x", "b"], grades, 2) == pytest.approx(1 / 3)
    assert recall(["a", "b", "c"], grades, 10) == 1
    assert recall(["d", "x"], grades, 10) == 0


@pytest.mark.parametrize("grades", [{}, {"a": 0}])
def test_nothing_relevant_is_an_error(grades: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="grades: nothing is relevant"):
        ndcg(["a"], grades)
    with pytest.raises(ValueError, match="grades: nothing is relevant"):
        recall(["a"], grades, 10)


def test_a_hit_returned_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="ranked: a reference is there twice"):
        ndcg(["a", "a"], {"a": 1})
    with pytest.raises(ValueError, match="ranked: a reference is there twice"):
        recall(["a", "a"], {"a": 1}, 10)
