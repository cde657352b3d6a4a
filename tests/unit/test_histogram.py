"""Buckets: every value is in one, whose middle is within the documented 1 %."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service.analytics.histogram import bucket_of, classes, ends_of, quantile

EDGES = [2**power + beside for power in range(1, 40) for beside in (-2, -1, 0, 1, 2)]
values = st.one_of(st.integers(0, 3_000), st.integers(0, 2**40), st.sampled_from(EDGES))


@given(values)
def test_a_bucket_is_near_its_values(value: int) -> None:
    low, high = ends_of(bucket_of(value))
    assert low <= value <= high
    assert abs((low + high) / 2 - value) <= value * 0.008


def test_buckets_follow_one_another_without_gaps() -> None:
    ends = [ends_of(bucket) for bucket in range(2_000)]
    assert ends[0] == (0, 0)
    assert all(later[0] == earlier[1] + 1 for earlier, later in itertools.pairwise(ends))


def test_classes_of_the_source_design_end_where_a_bucket_ends() -> None:
    for bound in (50, 100, 200, 500, 1000, 2000):
        assert ends_of(bucket_of(bound))[1] == bound


@given(st.lists(values, min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 1.0]))
def test_quantiles_and_classes(several: list[int], share: float) -> None:
    buckets: dict[int, int] = {}
    for value in several:
        buckets[bucket_of(value)] = buckets.get(bucket_of(value), 0) + 1
    rank = max(1, -(-len(several) * round(share * 100) // 100))
    exact = sorted(several)[rank - 1]
    assert quantile(buckets, share) == pytest.approx(exact, rel=0.01)
    bounds = {"low": 200, "high": None}
    below = sum(value <= 200 for value in several)
    assert classes(buckets, bounds) == {"low": below, "high": len(several) - below}
    assert quantile({}, share) is None
