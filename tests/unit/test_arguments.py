"""The checks of what callers hand in: what is taken, what is refused, and by which name."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from message_service import errors
from message_service.arguments import (
    MOST_NESTED,
    check_finite,
    check_flag,
    check_mapping,
    check_number,
    check_sequence,
    check_text_argument,
    check_whole_number,
)


def holding_itself() -> list[Any]:
    made: list[Any] = []
    made.extend([made, made])
    return made


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def test_what_is_right_is_taken() -> None:
    assert check_text_argument("x", "é", most=1) == "é"
    assert check_text_argument("x", "", most=1, least=0) == ""
    assert check_whole_number("x", 3, 3, 3) == 3
    assert check_number("x", 0.5, 0, 1) == 0.5
    assert check_flag("x", False) is False
    assert check_sequence("x", (1, 2)) == (1, 2)
    assert check_mapping("x", {"a": 1}) == {"a": 1}
    check_finite("x", {"a": nested(MOST_NESTED - 1)})


@pytest.mark.parametrize(
    "call",
    [
        lambda: check_text_argument("x", b"a", most=9),
        lambda: check_text_argument("x", "", most=9),
        lambda: check_text_argument("x", "a" * 10, most=9),
        lambda: check_text_argument("x", "a\0", most=9),
        lambda: check_text_argument("x", "\ud800", most=9),
        lambda: check_whole_number("x", True, 0, 9),
        lambda: check_whole_number("x", 1.0, 0, 9),
        lambda: check_whole_number("x", 10**5_000, 0, 9),
        lambda: check_number("x", float("nan"), 0, 9),
        lambda: check_number("x", 10**5_000, 0, 9),
        lambda: check_number("x", True, 0, 9),
        lambda: check_flag("x", 1),
        lambda: check_sequence("x", "text"),
        lambda: check_sequence("x", {"a"}),
        lambda: check_sequence("x", itertools.count()),
        lambda: check_mapping("x", [("a", 1)]),
        lambda: check_mapping("x", {1: 2}),
        lambda: check_finite("x", holding_itself()),
        lambda: check_finite("x", nested(MOST_NESTED + 1)),
        lambda: check_finite("x", itertools.count()),
    ],
)
def test_what_is_wrong_is_refused_by_name(call: Any) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        call()
    assert refused.value.field == "x"
    assert refused.value.fix
