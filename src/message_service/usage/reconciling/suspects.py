"""The messages that may be responsible for a difference between an export and the messages."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

from message_service.documents.row import Row
from message_service.documents.token_usage import CostState, UsageState
from message_service.usage.reconciling.comparing import Agreement, ComparedUsage, Suspect

_EDGE = timedelta(minutes=5)
"""How far from midnight a message may have been billed on the other day."""

_REASONS = (
    "its tokens are exactly the difference",
    "the provider reported no usage",
    "its figures contradict one another",
    "its figures are estimated",
    "its figures are the caller's, not the provider's",
    "the same figures as another message of its conversation on that day",
    "within five minutes of midnight: it may be billed on the other day",
    "the provider counts nothing on that day",
)
(
    _EXACT,
    _UNKNOWN,
    _INCONSISTENT,
    _ESTIMATED,
    _GIVEN,
    _TWICE,
    _MIDNIGHT,
    _MISSING,
) = range(len(_REASONS))

_STATES = {
    UsageState.UNKNOWN.value: _UNKNOWN,
    UsageState.INCONSISTENT.value: _INCONSISTENT,
    UsageState.ESTIMATED.value: _ESTIMATED,
}

_Rank = tuple[int, datetime, str]


@dataclass(slots=True)
class Suspects:
    """Collects the suspects of one day and model, of all its messages.

    Args:
        row: The comparison.
        most: How many to keep.
    """

    row: ComparedUsage
    most: int
    _kept: list[tuple[_Rank, Row]] = field(default_factory=list[tuple[_Rank, Row]])
    _seen: set[int] = field(default_factory=set[int])
    _count: int = 0

    def look_at(self, message: Row) -> None:
        """Note a message if something speaks against it."""
        reason = self._reason(message)
        if reason is None:
            return
        self._count += 1
        moment: datetime = message["timestamps"]["created_at"]
        bisect.insort(
            self._kept, ((reason, moment, message["message_id"]), message), key=lambda item: item[0]
        )
        del self._kept[self.most :]

    def _reason(self, message: Row) -> int | None:
        fields: Row = message["token_usage"]
        moment: datetime = message["timestamps"]["created_at"]
        # Hashes, as there may be as many as the day has messages.
        figures = hash((message["conversation_id"], *sorted(fields.get("classes", {}).items())))
        twice = figures in self._seen
        self._seen.add(figures)
        if self._is_difference(fields):
            return _EXACT
        state = fields.get("usage_state")
        if state in _STATES:
            return _STATES[state]
        if self.row.agreement is Agreement.MISSING_THERE:
            return _MISSING
        if fields.get("cost_state") == CostState.GIVEN or "classes" not in fields:
            return _GIVEN
        if twice:
            return _TWICE
        midnight = datetime.combine(self.row.day, time(), UTC)
        if moment - midnight < _EDGE or midnight + timedelta(days=1) - moment <= _EDGE:
            return _MIDNIGHT
        return None

    def _is_difference(self, fields: Row) -> bool:
        more = self.row.difference
        sides = (more.get("prompt", 0), more.get("output", 0))
        return any(sides) and sides == (
            fields.get("prompt_tokens", 0),
            fields.get("completion_tokens", 0),
        )

    def found(self) -> ComparedUsage:
        """Return the comparison with its suspects."""
        return replace(
            self.row,
            suspects=tuple(
                Suspect(
                    message["conversation_id"],
                    message["message_id"],
                    moment,
                    message["token_usage"].get("total_tokens", 0),
                    _REASONS[reason],
                )
                for (reason, moment, _), message in self._kept
            ),
            more=self._count - len(self._kept),
        )
