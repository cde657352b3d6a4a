"""Reports of an import, in total and per conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ConversationReport:
    """The outcome for one conversation of an import file.

    Attributes:
        external_id: Its id in the file.
        conversation_id: Its id in this service.
        stored: Messages written by this import.
        unchanged: Messages that were already stored with the same content.
        updated: Messages that were already stored and were updated from a newer source.
        repaired: Messages whose text was changed to be storable (lone surrogates).
        split: Messages that were stored in several pieces, because they are too long for one.
        unlinked: Messages whose parent is not in the source; they begin branches of their own.
        skipped: Items left out on purpose, by reason.
        failed: Messages that should have been stored but were not, by reason.
    """

    external_id: str
    conversation_id: str
    stored: int = 0
    unchanged: int = 0
    updated: int = 0
    repaired: int = 0
    split: int = 0
    unlinked: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])

    @property
    def records(self) -> int:
        """Records of the source that this report accounts for."""
        kept = self.stored + self.unchanged + self.updated
        return kept + self.skipped.total() + self.failed.total()

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "records": self.records,
            "external_id": self.external_id,
            "conversation_id": self.conversation_id,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "updated": self.updated,
            "repaired": self.repaired,
            "split": self.split,
            "unlinked": self.unlinked,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }


@dataclass(slots=True)
class ImportReport:
    """The totals of an import; each finished conversation is passed to `sink` and not kept.

    Attributes:
        records: Records of the source: the sum of `stored`, `unchanged`, `updated`, `skipped` and
            `failed`.
        conversations: Conversations read.
        new: Conversations that were not stored before.
        stored: Messages written by this import.
        unchanged: Messages that were already stored with the same content.
        updated: Messages that were already stored and were updated from a newer source.
        repaired: Messages whose text was changed to be storable.
        split: Messages that were stored in several pieces, because they are too long for one.
        unlinked: Messages whose parent is not in the source; they begin branches of their own.
        skipped: Items left out on purpose, by reason.
        failed: Messages that should have been stored but were not, by reason.
        files: Files of attachments that are stored now (in a dry run: that would be).
        files_missing: Attachments whose file is not in an export that has other files.
        files_failed: Files that should have been stored but were not, by reason.
        recognised: With the format `auto`: what each path was taken for.
        error: The error that ended the import before the end of its files; None without an error.
        stopped: Whether the import stopped on request before the end of its files.
    """

    sink: Callable[[ConversationReport], None] | None = None
    conversations: int = 0
    new: int = 0
    stored: int = 0
    unchanged: int = 0
    updated: int = 0
    repaired: int = 0
    split: int = 0
    unlinked: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    records: int = 0
    files: int = 0
    files_missing: int = 0
    files_failed: Counter[str] = field(default_factory=Counter[str])
    recognised: list[str] = field(default_factory=list[str])
    error: str | None = None
    stopped: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything that should be stored is stored."""
        lost = self.failed or self.files_failed
        return not lost and self.error is None and not self.stopped

    def add(self, conversation: ConversationReport, *, first: bool = True) -> None:
        """Count a conversation, or, when `first` is false, a further part of a conversation."""
        self.conversations += first
        self.stored += conversation.stored
        self.unchanged += conversation.unchanged
        self.updated += conversation.updated
        self.repaired += conversation.repaired
        self.split += conversation.split
        self.unlinked += conversation.unlinked
        self.records += conversation.records
        self.skipped.update(conversation.skipped)
        self.failed.update(conversation.failed)
        if self.sink is not None:
            self.sink(conversation)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "complete": self.complete,
            "records": self.records,
            "conversations": self.conversations,
            "new": self.new,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "updated": self.updated,
            "repaired": self.repaired,
            "split": self.split,
            "unlinked": self.unlinked,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
            "files": self.files,
            "files_missing": self.files_missing,
            "files_failed": dict(self.files_failed),
            "recognised": self.recognised,
            "error": self.error,
            "stopped": self.stopped,
        }
