"""One conversation during its import: the reader's conversation in the form the store accepts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from message_service.clock import month_of
from message_service.documents.fields import MAX_NAME
from message_service.documents.row import Row
from message_service.ids import IdKind, derived_id
from message_service.interchange.dating import dates_of
from message_service.interchange.merging import Node
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedFeedback,
    ImportedMessage,
)
from message_service.interchange.report import ConversationReport
from message_service.interchange.splitting import pieces_of
from message_service.messages.feedback import satisfaction
from message_service.messages.parts import assemble, check_parts, said

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Intake:
    """A conversation to import.

    Attributes:
        format: The format's name; part of every derived id.
        source: The conversation that the reader yielded.
        conversation_id: Its id in this service.
        fingerprint: Digest of the source; when it is the same, nothing has changed.
        report: The outcome of the import.
        nodes: The messages that can be stored; each message comes after the one it follows.
        values: The fields of these messages as `append_many` accepts them, by message id.
        deleted: Ids of the messages that the source marks as deleted.
        shown: The last message of the line that the source shows.
        months: The months of the messages (`202501`).
        stored: The messages of the source that this import stored, by the id of their first piece.
        found: Those that were stored already, likewise.
        failed: Those that could not be stored, likewise.
        first_piece: The first piece of a message of the source, by the ids of its further pieces.
    """

    format: str
    source: ImportedConversation
    conversation_id: str
    fingerprint: str
    report: ConversationReport
    nodes: list[Node] = field(default_factory=list[Node])
    values: dict[str, Row] = field(default_factory=dict[str, Row])
    deleted: list[str] = field(default_factory=list[str])
    shown: str | None = None
    months: set[str] = field(default_factory=set[str])
    stored: set[str] = field(default_factory=set[str])
    found: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    first_piece: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def as_of(self) -> datetime:
        """The latest moment found in the source; shows which of two exports is newer."""
        told = [message.created_at for message in self.source.messages]
        told.append(self.source.updated_at)
        return max((moment for moment in told if moment is not None), default=_BEGINNING)

    def age(self, marked: Row) -> int:
        """Return 1 when this source is newer than the last import, -1 when older, 0 if unknown.

        The order is by the latest moment in each source, then by the number of messages.
        """
        mine = (self.as_of, len(self.source.messages))
        other = (marked.get("as_of") or _BEGINNING, marked["message_count"])
        return (mine > other) - (mine < other)

    def prepare(self, now: datetime) -> None:
        """Prepare the values of every message, and count the messages that cannot be stored."""
        self.report.skipped.update(item.reason for item in self.source.skipped)
        begins: dict[str, str] = {}
        ends: dict[str, str | None] = {}
        parents = {message.external_id: message.parent for message in self.source.messages}
        plain = not self.source.branches and not any(parents.values())
        dates = dates_of(self.source, now)
        before: str | None = None
        for message in self.source.messages:
            ends[message.external_id] = None
            date = dates[message.external_id]
            pieces = self._pieces(message, date)
            self.report.unlinked += bool(message.custom.get("orphaned"))
            parent = _stored_ancestor(message.parent, ends, parents)
            for number, values in enumerate(pieces):
                message_id: str = values["message_id"]
                if number:
                    values["continues_message_id"] = before
                    self.first_piece[message_id] = begins[message.external_id]
                    parent = before
                else:
                    values["reply_to_message_id"] = begins.get(message.reply_to or "")
                    begins[message.external_id] = message_id
                values["parent_message_id"] = parent
                ends[message.external_id] = message_id
                self.values[message_id] = values
                follows = before if plain else parent
                name = None if number else message.line_name
                self.nodes.append(Node(message_id, follows, message.branch, name))
                before = message_id
                if message.status == "deleted":
                    self.deleted.append(message_id)
                if message.branch == self.source.active_branch:
                    self.shown = message_id
            if pieces:
                self.months.add(month_of(date))

    def records(self, message_ids: Iterable[str]) -> set[str]:
        """Return messages of the source, each by the id of its first piece."""
        return {self.first_piece.get(message_id, message_id) for message_id in message_ids}

    @property
    def last_shown(self) -> Row | None:
        """The values of the last message on the shown line that lists may show."""
        follows = {node.message_id: node.follows for node in self.nodes}
        left_out = set(self.deleted)
        at = self.shown
        while at is not None and (at in left_out or self.values[at]["status"] == "hidden"):
            at = follows[at]
        return None if at is None else self.values[at]

    def close_account(self) -> None:
        """Count what the source has and the report does not account for."""
        source = self.source
        expected = source.records
        if expected is None:
            expected = len(source.messages) + len(source.skipped)
        if expected > self.report.records:
            self.report.failed["not_accounted_for"] += expected - self.report.records

    def drop(self, refused: Set[str]) -> None:
        """Leave out refused messages; their successors then follow the messages before them."""
        follows = {node.message_id: node.follows for node in self.nodes}
        parents = {
            message_id: values["parent_message_id"] for message_id, values in self.values.items()
        }

        def kept(message_id: str | None, links: Mapping[str, str | None]) -> str | None:
            while message_id is not None and message_id in refused:
                message_id = links[message_id]
            return message_id

        self.nodes = [
            replace(node, follows=kept(node.follows, follows))
            for node in self.nodes
            if node.message_id not in refused
        ]
        self.values = {
            message_id: self.values[message_id]
            for message_id in self.values
            if message_id not in refused
        }
        for values in self.values.values():
            values["parent_message_id"] = kept(values["parent_message_id"], parents)
            for name in ("reply_to_message_id", "continues_message_id"):
                if values.get(name) in refused:
                    values[name] = None
        self.deleted = [message_id for message_id in self.deleted if message_id not in refused]
        self.shown = kept(self.shown, follows)

    def _pieces(self, message: ImportedMessage, created_at: datetime) -> list[Row]:
        """Return the values of the messages that store a message of the source; mostly one."""
        text, parts, repaired = _repaired(message)
        if not text and not parts:
            self.report.failed["empty_text"] += 1
            return []
        self.report.repaired += repaired
        pieces = pieces_of(text, parts)
        self.report.split += len(pieces) > 1
        common = self._common(message, created_at, repaired=repaired)
        return [
            {
                **common,
                "text": piece.text,
                **({"parts": piece.parts} if piece.parts else {}),
                "message_id": derived_id(
                    IdKind.MESSAGE,
                    self.format,
                    self.source.external_id,
                    _piece_name(message.external_id, number),
                ),
                "client_msg_id": _key(_piece_name(message.external_id, number)),
            }
            for number, piece in enumerate(pieces, start=1)
        ]

    def _common(self, message: ImportedMessage, created_at: datetime, *, repaired: bool) -> Row:
        """Return the values that all pieces of a message have."""
        custom: Row = dict(message.custom)
        if repaired:
            custom["text_repaired"] = True
        if message.created_at is None:
            custom["created_at_inferred"] = True
        values: Row = {
            "role": message.role,
            "user_id": user(self.format, message.sender or self.source.sender),
            "message_type": message.message_type,
            "status": "active" if message.status == "deleted" else message.status,
            "created_at": created_at,
        }
        if message.feedback is not None:
            values["quality_metadata"] = {"user_feedback": _feedback(message.feedback)}
            custom["user_satisfaction"] = satisfaction(message.feedback.rating)
        if custom:
            values["custom_metadata"] = custom
        if message.llm_model is not None or message.llm_provider is not None:
            values["llm_metadata"] = {
                "provider": message.llm_provider,
                "model": message.llm_model,
            }
        return values


def preview(values: Row) -> str:
    """Return what a list shows of a message that is imported."""
    parts = values.get("parts")
    text, stored = assemble(values["text"], None if parts is None else check_parts("parts", parts))
    return said({"text": text, "parts": stored})


def intake(name: str, source: ImportedConversation) -> Intake:
    """Return the intake of a conversation, before `prepare`."""
    conversation_id = derived_id(IdKind.CONVERSATION, name, source.external_id)
    running = hashlib.sha256()

    def add(*parts: object) -> None:
        running.update("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass") + b"\x1e")

    add(source.title, source.updated_at, source.active_branch, sorted(source.custom.items()))
    for message in source.messages:
        add(
            message.external_id,
            message.role,
            message.branch,
            message.parent,
            message.status,
            message.sender,
            message.created_at,
            message.llm_model,
            sorted(message.custom.items()),
            message.feedback,
            message.text,
            *message.parts,
        )
    return Intake(
        format=name,
        source=source,
        conversation_id=conversation_id,
        fingerprint=f"sha256:{running.hexdigest()}",
        report=ConversationReport(source.external_id, conversation_id),
    )


def storable(text: str) -> tuple[str, bool]:
    """Return the text with lone surrogates replaced, and whether there were any."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), True
    return text, False


@lru_cache(maxsize=4_096)
def user(name: str, sender: str | None) -> str:
    """Return the user id derived from a sender in the source."""
    return derived_id(IdKind.USER, name, sender or "unknown")


def _stored_ancestor(
    external_id: str | None, ids: dict[str, str | None], parents: dict[str, str | None]
) -> str | None:
    """Return the id of the nearest stored message: `external_id` itself or an ancestor."""
    while external_id is not None:
        message_id = ids.get(external_id)
        if message_id is not None:
            return message_id
        external_id = parents.get(external_id)
    return None


def _repaired(message: ImportedMessage) -> tuple[str, list[Row], bool]:
    """Return the text and parts of a message without lone surrogates, and whether it had any."""
    text, repaired = storable(message.text)
    parts: list[Row] = []
    for part in message.parts:
        kept: Row = {}
        for name, value in part.items():
            if isinstance(value, str):
                kept[name], changed = storable(value)
                repaired = repaired or changed
            else:
                kept[name] = value
        parts.append(kept)
    return text, parts, repaired


def _feedback(given: ImportedFeedback) -> Row:
    found: Row = {"rating": given.rating}
    if given.comment:
        found["comment"] = storable(given.comment)[0][:10_000]
    if given.tags:
        found["tags"] = [storable(tag)[0][:MAX_NAME] for tag in given.tags]
    return found


def _piece_name(external_id: str, number: int) -> str:
    """Return the name of a piece of a message; no source has this sign in its ids."""
    return external_id if number == 1 else f"{external_id}\u241f{number}"


def _key(external_id: str) -> str:
    if len(external_id) <= 256:
        return external_id
    return "sha256:" + hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).hexdigest()
