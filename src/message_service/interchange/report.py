"""What an import did, conversation by conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ConversationReport:
    """What became of one conversation of an import file.

    Attributes:
        external_id: Its id in the file.
        conversation_id: Its id here.
        stored: Messages written now.
        unchanged: Messages that were here already, the same.
        updated: Messages that were here, and of which the source says something newer.
        repaired: Messages whose text was altered to be storable (lone surrogates).
        skipped: Items left out on purpose, by reason.
        failed: Messages that should be here and are not, by reason.
    """

    external_id: str
    conversation_id: str
    stored: int = 0
    unchanged: int = 0
    updated: int = 0
    repaired: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "external_id": self.external_id,
            "conversation_id": self.conversation_id,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "updated": self.updated,
            "repaired": self.repaired,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }


@dataclass(slots=True)
class ImportReport:
    """The sum of an import; conversations are handed to `sink` as they end, not kept.

    Attributes:
        conversations: Conversations read.
        new: Conversations that were not here before.
        stored: Messages written now.
        unchanged: Messages that were here already, the same.
        updated: Messages that were here, and of which the source says something newer.
        repaired: Messages whose text was altered to be storable.
        skipped: Items left out on purpose, by reason.
        failed: Messages that should be here and are not, by reason.
        error: Why the import stopped before the end of its files; None when it did not.
        stopped: Whether it was asked to stop, and did, before the end of its files.
    """

    sink: Callable[[ConversationReport], None] | None = None
    conversations: int = 0
    new: int = 0
    stored: int = 0
    unchanged: int = 0
    updated: int = 0
    repaired: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    error: str | None = None
    stopped: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything that should be stored is."""
        return not self.failed and self.error is None and not self.stopped

    def add(self, one: ConversationReport, *, first: bool = True) -> None:
        """Count a conversation, or with `first` false a further part of one."""
        self.conversations += first
        self.stored += one.stored
        self.unchanged += one.unchanged
        self.updated += one.updated
        self.repaired += one.repaired
        self.skipped.update(one.skipped)
        self.failed.update(one.failed)
        if self.sink is not None:
            self.sink(one)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "complete": self.complete,
            "conversations": self.conversations,
            "new": self.new,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "updated": self.updated,
            "repaired": self.repaired,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
            "error": self.error,
            "stopped": self.stopped,
        }
