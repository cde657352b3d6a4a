"""Identifiers: grammar, order, repeatability."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.ids import IdFactory, IdKind, check_id, derived_id


class _Clock:
    def __init__(self, *moments: datetime) -> None:
        self.moments = list(moments)

    def now(self) -> datetime:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


START = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


def test_the_time_part_is_the_ulids() -> None:
    # 1469918176385 ms is the ULID specification's example, 01ARYZ6S41.
    clock = _Clock(datetime.fromtimestamp(1469918176.385, UTC))
    made = IdFactory(clock, lambda n: b"\0" * n).new(IdKind.MESSAGE)
    assert made == "msg_01ARYZ6S410000000000000000"


@given(st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=50))
def test_ids_grow_even_when_the_clock_does_not(steps: list[int]) -> None:
    moments = [START + timedelta(milliseconds=step) for step in steps]
    factory = IdFactory(_Clock(*moments))
    made = [factory.new(IdKind.CONVERSATION) for _ in steps]
    assert made == sorted(set(made))
    for one in made:
        check_id(IdKind.CONVERSATION, "id", one)


@given(st.text(), st.text())
def test_derived_ids_repeat_and_differ(one: str, two: str) -> None:
    made = derived_id(IdKind.USER, "f", one)
    check_id(IdKind.USER, "id", made)
    assert made == derived_id(IdKind.USER, "f", one)
    assert (made == derived_id(IdKind.USER, "f", two)) == (one == two)


@pytest.mark.parametrize(
    "bad",
    ["", "msg_", "msg_short", "MSG_000000000001", "msg_00000000000é", "msg_000000000001\n",
     "conv_000000000001", "msg_0000-0000-0001", "msg_" + "0" * 129, None, 12, b"msg_000000000001"],
)  # fmt: skip
def test_what_is_no_message_id(bad: object) -> None:
    with pytest.raises(errors.InvalidId) as caught:
        check_id(IdKind.MESSAGE, "message_id", bad)
    assert caught.value.field == "message_id"
