"""Which messages belong together: a tool call and its results, the pieces of a long message.

Providers refuse a prompt in which a tool result stands without its call. So a prompt window holds a
call and its results together or not at all. Providers do not agree on unique ids: a result belongs
to the nearest earlier call of its id. A message of a tool that names no call belongs to the nearest
message before it that is not a tool's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from message_service.documents.row import Row


@dataclass(slots=True)
class ToolGroups:
    """What belongs together among messages that are in order.

    Attributes:
        pairs: Place of a call and place of one of its results, or of a message and its
            continuation.
        without_call: Places of results whose call is not among the messages, with their call ids.
        without_beginning: Places of continuations, and of tools' messages that name no call, whose
            message is not among the messages.
        unanswered: Ids of calls whose result is not among the messages.
    """

    pairs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    without_call: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    without_beginning: set[int] = field(default_factory=set[int])
    unanswered: list[str] = field(default_factory=list[str])


def tool_groups(rows: Sequence[Row]) -> ToolGroups:
    """Return what belongs together among messages that are in order."""
    found = ToolGroups()
    made: dict[str, int] = {}
    open_calls: dict[str, None] = {}
    place_of: dict[str, int] = {}
    speaker: int | None = None
    for place, row in enumerate(rows):
        place_of[row["message_id"]] = place
        continued: str | None = row["relationships"].get("continues_message_id")
        if continued is not None and continued in place_of:
            found.pairs.append((place_of[continued], place))
        elif continued is not None:
            found.without_beginning.add(place)
        parts: Sequence[Row] = row["content"].get("parts") or ()
        if row["role"] != "tool":
            speaker = place
        elif not any(part["type"] == "tool_result" for part in parts):
            if speaker is None:
                found.without_beginning.add(place)
            else:
                found.pairs.append((speaker, place))
        for part in parts:
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
    """Return the first place from which nothing is separated from what it belongs to.

    Args:
        groups: What belongs together.
        cut: Places of messages that belong to one from before the messages.
    """
    start = max((place + 1 for place in cut), default=0)
    # Every move can separate further pairs; it only goes forward, so it ends.
    while True:
        separated = [result for call, result in groups.pairs if call < start <= result]
        if not separated:
            return start
        start = max(separated) + 1
