"""One conversation during its import: the reader's conversation in the form the store accepts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from message_service import errors
from message_service.clock import month_of
from message_service.documents.row import Row
from message_service.ids import IdKind, derived_id
from message_service.interchange.merging import Node
from message_service.interchange.records import ImportedConversation, ImportedMessage
from message_service.interchange.report import ConversationReport
from message_service.messages.content import check_text

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
        ids: dict[str, str | None] = {}
        parents = {message.external_id: message.parent for message in self.source.messages}
        plain = not self.source.branches and not any(parents.values())
        last_date = self.source.created_at or now
        before: str | None = None
        for message in self.source.messages:
            ids[message.external_id] = None
            last_date = message.created_at or last_date
            values = self._values(message, last_date)
            if values is None:
                continue
            parent = _stored_ancestor(message.parent, ids, parents)
            values["parent_message_id"] = parent
            values["reply_to_message_id"] = ids.get(message.reply_to or "")
            message_id: str = values["message_id"]
            ids[message.external_id] = message_id
            self.values[message_id] = values
            self.months.add(month_of(last_date))
            follows = before if plain else parent
            self.nodes.append(Node(message_id, follows, message.branch, message.line_name))
            before = message_id
            if message.status == "deleted":
                self.deleted.append(message_id)
            if message.branch == self.source.active_branch:
                self.shown = message_id

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
            if values["reply_to_message_id"] in refused:
                values["reply_to_message_id"] = None
        self.deleted = [message_id for message_id in self.deleted if message_id not in refused]
        self.shown = kept(self.shown, follows)

    def _values(self, message: ImportedMessage, created_at: datetime) -> Row | None:
        text, repaired = storable(message.text)
        problem = _problem(text)
        if problem is not None:
            self.report.failed[problem] += 1
            return None
        self.report.repaired += repaired
        custom: Row = dict(message.custom)
        if repaired:
            custom["text_repaired"] = True
        if message.created_at is None:
            custom["created_at_inferred"] = True
        values: Row = {
            "role": message.role,
            "text": text,
            "message_id": derived_id(
                IdKind.MESSAGE, self.format, self.source.external_id, message.external_id
            ),
            "client_msg_id": _key(message.external_id),
            "user_id": user(self.format, message.sender or self.source.sender),
            "message_type": message.message_type,
            "status": "active" if message.status == "deleted" else message.status,
            "created_at": created_at,
        }
        if custom:
            values["custom_metadata"] = custom
        if message.llm_model is not None or message.llm_provider is not None:
            values["llm_metadata"] = {
                "provider": message.llm_provider,
                "model": message.llm_model,
            }
        return values


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
            message.text,
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


def _problem(text: str) -> str | None:
    """Return the reason why a text cannot be stored, or None."""
    try:
        check_text("text", text)
    except errors.InvalidInput as error:
        return error.code if isinstance(error, errors.TextTooLong) else "empty_text"
    return None


def _key(external_id: str) -> str:
    if len(external_id) <= 256:
        return external_id
    return "sha256:" + hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).hexdigest()
