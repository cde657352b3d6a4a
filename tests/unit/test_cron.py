"""Cron expressions: summer time, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from message_service import errors
from message_service.queue.cron import check_cron, last_time, next_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 15, 10, 30, 0, 500_000, tzinfo=UTC)


def times(cron: str, zone: ZoneInfo, after: datetime, count: int) -> list[str]:
    found: list[str] = []
    moment = after
    for _ in range(count):
        following = next_time(cron, zone, moment)
        assert following is not None
        moment = following
        found.append(f"{moment:%m-%d %H:%M}")
    return found


def test_a_time_is_that_of_its_zone() -> None:
    assert times("0 3 * * *", BERLIN, NOW, 2) == ["01-16 02:00", "01-17 02:00"]
    assert times("0 3 * * *", ZoneInfo("UTC"), NOW, 1) == ["01-16 03:00"]


def test_a_time_that_summer_time_skips_runs_right_after_it() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert times("30 2 * * *", BERLIN, before, 2) == ["03-29 01:00", "03-30 00:30"]


def test_a_time_that_comes_twice_runs_once() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert times("30 2 * * *", BERLIN, before, 2) == ["10-25 00:30", "10-26 01:30"]


def test_the_last_time_is_found_backwards() -> None:
    zone = ZoneInfo("UTC")
    assert last_time("30 10 * * *", zone, NOW) == NOW.replace(microsecond=0)
    assert last_time("31 10 * * *", zone, NOW) == datetime(2026, 1, 14, 10, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "cron",
    ["", "* * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "L/2 * * * *", 5],
)
def test_what_is_no_time_is_refused(cron: object) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        check_cron(cron, BERLIN, NOW)
    assert caught.value.field == "cron"
