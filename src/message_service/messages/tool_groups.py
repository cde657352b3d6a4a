"""Which messages belong together because one answers the tool calls of another.

Providers refuse a prompt in which a tool result stands without its call. So a prompt window holds a
call and its results together or not at all. Providers do not agree on unique ids: a result belongs
to the nearest earlier call of its id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from message_service.documents.row import Row


@dataclass(slots=True)
class ToolGroups:
    """The calls and results among messages that are in order.

    Attributes:
        pairs: Place of a call and place of one of its results.
        without_call: Places of results whose call is not among the messages, with their call ids.
        unanswered: Ids of calls whose result is not among the messages.
    """

    pairs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    without_call: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    unanswered: list[str] = field(default_factory=list[str])


def tool_groups(rows: Sequence[Row]) -> ToolGroups:
    """Return the calls and results among messages that are in order."""
    found = ToolGroups()
    made: dict[str, int] = {}
    open_calls: dict[str, None] = {}
    for place, row in enumerate(rows):
        for part in row["content"].get("parts") or ():
            if part["type"] == "tool_call":
                made[part["id"]] = place
                open_calls[part["id"]] = None
            elif part["type"] == "tool_result":
                call_id: str = part["call_id"]
                if call_id in made:
                    found.pairs.append((made[call_id], place))
                    open_calls.pop(call_id, None)
                else:
                    found.without_call.setdefault(place, []).append(call_id)
    found.unanswered = list(open_calls)
    return found


def together(groups: ToolGroups, places: Collection[int]) -> set[int]:
    """Return places with those they belong to: the calls of results, and all results of calls."""
    chosen = set(places)
    while True:
        more = {
            place
            for pair in groups.pairs
            if not chosen.isdisjoint(pair)
            for place in pair
            if place not in chosen
        }
        if not more:
            return chosen
        chosen |= more


def first_whole(groups: ToolGroups, cut: Collection[int]) -> int:
    """Return the first place from which no call is separated from its results.

    Args:
        groups: The calls and results.
        cut: Places of results whose calls come before the messages.
    """
    start = max((place + 1 for place in cut), default=0)
    # Every move can separate further pairs; it only goes forward, so it ends.
    while True:
        separated = [result for call, result in groups.pairs if call < start <= result]
        if not separated:
            return start
        start = max(separated) + 1
