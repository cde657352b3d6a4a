"""When jobs run: the order of claims, and the delays between attempts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from message_service.documents.row import Row

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""A job with this `attention_at` is due for the sweep whatever the clocks say."""

LONGEST_DELAY = 3_600.0
"""Most seconds between two attempts."""

DEFAULT_DELAY = 1.0
"""Seconds between the first two attempts, when nothing else is said."""


def claim_order(basis: datetime, rank: int, ageing: float) -> datetime:
    """Return the place of a job among those that can run; the earliest is claimed first.

    Each rank counts like `ageing` seconds of waiting. So an urgent job overtakes the jobs of up to
    `3 * ageing` seconds before it, and a low one is overtaken only by those of as many seconds
    after it: it cannot starve, and no job has to be moved while it waits.

    Args:
        basis: Since when the job could have run.
        rank: The rank of its priority, 0 to 3.
        ageing: Seconds of waiting that one rank is worth.
    """
    return basis - timedelta(seconds=rank * ageing)


def retry_delay(attempts: int, base: float, random: Callable[[int], bytes]) -> float:
    """Return the seconds before the next attempt: exponential, with jitter.

    It is between half of `base * 2^(attempts - 1)` and all of it ("equal jitter", from Exponential
    Backoff And Jitter, AWS Architecture Blog, 2015), and an hour at most.

    Args:
        attempts: Attempts made, at least 1.
        base: Seconds before the second attempt.
        random: Source of random bytes.
    """
    whole = min(base * 2.0 ** min(attempts - 1, 64), LONGEST_DELAY)
    share = int.from_bytes(random(4)) / 2**32
    return whole * (0.5 + share / 2)


def due_at(job: Row) -> datetime | None:
    """Return from when on a waiting job may run; None when it may at once.

    A job that was enqueued without a schedule is due, however wrong the clock was there.
    """
    queue: Row = job["queue_metadata"]
    scheduled: datetime = queue["scheduled_for"]
    moments = [moment for moment in (queue.get("retry_after"),) if moment is not None]
    if scheduled > job["created_at"]:
        moments.append(scheduled)
    return max(moments, default=None)
