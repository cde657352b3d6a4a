"""Results of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from message_service.messages.rows import StoredMessage
from message_service.paging.page import Page
from message_service.search.snippets import Snippet

Matched = Literal["all", "some"]
"""Whether every hit has every word, or, because none has, some of them."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a hit's score was computed: `score = text * weight` (see `ranking`).

    Attributes:
        text: Relevance of the text to the query.
        words: The share of each word, prefix or phrase in it.
        proximity: The share of query words that stand together, in the query's order.
        weight: The factor of the design's weights.
        weights: Each weight, 0 to 1: importance, recency, engagement, quality.
    """

    text: float
    words: Mapping[str, float]
    proximity: float
    weight: float
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Hit:
    """One message found.

    Attributes:
        message: The message as it is now.
        score: The score hits are ordered by, highest first.
        snippet: A piece of its text, with the matching places.
        explanation: How the score was computed.
    """

    message: StoredMessage
    score: float
    snippet: Snippet
    explanation: Explanation

    def to_json(self) -> dict[str, Any]:
        """Return the hit as plain values."""
        return {
            "message_id": self.message.message_id,
            "conversation_id": self.message.conversation_id,
            "user_id": self.message.user_id,
            "sequence_number": self.message.sequence_number,
            "role": self.message.role,
            "created_at": self.message.created_at,
            "score": self.score,
            "snippet": {"text": self.snippet.text, "highlights": list(self.snippet.highlights)},
            "explanation": {
                "text": self.explanation.text,
                "words": dict(self.explanation.words),
                "proximity": self.explanation.proximity,
                "weight": self.explanation.weight,
                "weights": dict(self.explanation.weights),
            },
        }


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages match.

    Attributes:
        value: The number, or a lower bound of it.
        exact: Whether it is the number. It counts index entries: a message deleted within the last
            moments may still be among them until the index has followed (see `Freshness`).
    """

    value: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.value:,}" if self.exact else f"at least {self.value:,}"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the index has come.

    Attributes:
        complete: Whether nothing was waiting to be indexed, and nothing had been refused.
        complete_to: In a conversation: every message up to this number is searchable as it is now.
            None for wider scopes.
        complete_before: In wider scopes: every message of the store written or changed before
            this moment (of the writers' clocks) is searchable; None when nothing is waiting.
        refused: Messages the index could not take, which are therefore not found (1,000 stands for
            that many or more). Each says why in `enrichment.refused`.
    """

    complete: bool
    complete_to: int | None = None
    complete_before: datetime | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage(Page[Hit]):
    """One page of hits, best first.

    A long listing is searched in stretches from new to old, each ranked by itself: a page may hold
    few hits and still have a next.

    Attributes:
        count: How many messages match.
        matched: "all" when every hit has every word; "some" when none had, and these have a part.
        freshness: How far the index has come.
        notes: Remarks for the caller: words left out, why nothing was found.
        examined: Index entries read to find these hits.
    """

    count: Count
    matched: Matched
    freshness: Freshness
    notes: tuple[str, ...]
    examined: int

    @property
    def hits(self) -> list[Hit]:
        """The hits, as `items`."""
        return self.items
