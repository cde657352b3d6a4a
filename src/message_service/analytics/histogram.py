"""Histograms that merge: log-linear buckets, whose middle is at most 0.8 % off every value in them.

Values up to 128 have a bucket each. Beyond, every power of two is cut into 64 buckets of equal
width, so that half a bucket's width is at most 1/128 of its values. A bucket holds its upper end,
not its lower one; so the classes of the source design (up to 500 ms, up to 200 characters ...) end
where a bucket ends. The scheme is that of HdrHistogram (http://hdrhistogram.org).
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Mapping

_BITS = 6
_LARGEST = 2**40
"""Larger values are counted as this: 34 years in milliseconds."""


@functools.lru_cache(maxsize=8_192)
def bucket_of(value: int) -> int:
    """Return the number of a value's bucket; larger values have higher ones."""
    if value <= 0:
        return 0
    below = min(value, _LARGEST) - 1
    shift = max(0, below.bit_length() - 1 - _BITS)
    return 1 + (shift << _BITS) + (below >> shift)


@functools.cache
def ends_of(bucket: int) -> tuple[int, int]:
    """Return the smallest and the largest value of a bucket."""
    if bucket <= 0:
        return 0, 0
    place = bucket - 1
    shift = max(0, (place >> _BITS) - 1)
    below = place - (shift << _BITS)
    return (below << shift) + 1, (below + 1) << shift


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return a value that the share of the values does not exceed, by nearest rank.

    Args:
        buckets: How many values lie in each bucket.
        share: Between 0 and 1.

    Returns:
        The middle of the bucket in which that value lies, None without values.
    """
    total = sum(buckets.values())
    if total <= 0:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            low, high = ends_of(bucket)
            return (low + high) / 2
    raise AssertionError("the ranks of a histogram's values end with their number")


def classes(buckets: Mapping[int, int], bounds: Mapping[str, int | None]) -> dict[str, int]:
    """Return how many values lie in each class.

    Args:
        buckets: How many values lie in each bucket.
        bounds: The largest value of each class by its label, ascending; each the largest of its
            bucket; None for no bound, which the last class must have.
    """
    ends = [bucket_of(bound) for bound in bounds.values() if bound is not None]
    counts = [0] * len(bounds)
    for bucket, count in buckets.items():
        counts[bisect_left(ends, bucket)] += count
    return dict(zip(bounds, counts, strict=True))
