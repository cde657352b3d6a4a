"""Updates stored messages from a newer source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from message_service.documents.message import CustomMetadata, MessageStatus
from message_service.documents.row import Row
from message_service.interchange.intake import Intake
from message_service.messages import integrity
from message_service.messages.content import hash_of
from message_service.messages.new_message import check_new_message
from message_service.messages.parts import assemble, check_parts
from message_service.messages.repeats import named_fields, request_fingerprint
from message_service.messages.takeover import SourceChange, Takeover

_HIDDEN = MessageStatus.HIDDEN.value
_SHOWN_OR_HIDDEN = (MessageStatus.ACTIVE.value, _HIDDEN)


@dataclass(slots=True)
class Differences:
    """How an import differs from the stored messages.

    Attributes:
        changes: The changes to make, by message id.
        unclear: Messages of which it is unknown which text is newer.
    """

    changes: dict[str, SourceChange] = field(default_factory=dict[str, SourceChange])
    unclear: list[str] = field(default_factory=list[str])

    def counted(self, intake: Intake) -> set[str]:
        """Count the differences in the report.

        Returns:
            The messages of the source that are counted as updated or failed, each by the id of its
            first piece.
        """
        in_doubt = intake.records(self.unclear)
        changed = intake.records(self.changes) - in_doubt
        if in_doubt:
            intake.report.failed["idempotency_conflict"] += len(in_doubt)
        intake.report.updated += len(changed)
        return changed | in_doubt


class Revisions:
    """Compares the messages of an import with the stored messages.

    What was changed in this service (text, parts, hidden or not, feedback) stays, unless the source
    changed the same; then the previous text is kept as a version. Where it is unknown which of two
    texts is newer, nothing is overwritten and the difference is reported.

    Args:
        changes: Writes the changes to the tenant's messages.
    """

    def __init__(self, changes: Takeover) -> None:
        self._changes = changes

    async def apply(self, intake: Intake, stored: Mapping[str, Row], age: int) -> set[str]:
        """Change the stored messages that differ from the import.

        Args:
            intake: The intake of the conversation.
            stored: The stored messages by id, as read by `CONVERSATION_LAYOUT`.
            age: See `Intake.age`.

        Returns:
            As `Differences.counted`.
        """
        found = self.compare(intake, stored, age)
        for message_id, change in found.changes.items():
            await self._changes.take_over(intake.conversation_id, message_id, change)
        return found.counted(intake)

    def compare(self, intake: Intake, stored: Mapping[str, Row], age: int) -> Differences:
        """Return how the import differs from the stored messages; arguments as for `apply`."""
        found = Differences()
        if age < 0:
            return found
        for node in intake.nodes:
            row = stored.get(node.message_id)
            change = None if row is None else _change(intake.values[node.message_id], row)
            if change is None:
                continue
            if age == 0 and change.says_otherwise:
                found.unclear.append(node.message_id)
            else:
                found.changes[node.message_id] = change
        return found


def _change(values: Row, row: Row) -> SourceChange | None:
    """Return what the source says otherwise than the stored message; None when nothing."""
    content_hash = _content_hash(values)
    custom, gone = _difference(values.get("custom_metadata") or {}, row)
    client: Row = row.get("client_metadata") or {}
    told: Row = client.get("request_fields") or {}
    content_differs = row["content"]["content_hash"] != content_hash
    status_differs = row["status"] in _SHOWN_OR_HIDDEN and (row["status"] == _HIDDEN) != (
        values["status"] == _HIDDEN
    )
    feedback_told = "quality_metadata" in values or "quality_metadata" in told
    change: Row = {}
    if content_differs or status_differs or feedback_told:
        message = check_new_message(values)
        fingerprint = request_fingerprint(
            message, content_hash, row["user_id"], row.get("character_id")
        )
        # The same request as before: what differs was changed in this service.
        if (content_differs or status_differs) and fingerprint != client.get("content_fingerprint"):
            change["fingerprint"] = fingerprint
            if content_differs:
                change |= {"text": values["text"], "parts": values.get("parts")}
            if status_differs:
                change["status"] = values["status"]
        quality: Row = values.get("quality_metadata") or {}
        now_told = named_fields(message).get("quality_metadata")
        if now_told != told.get("quality_metadata"):
            change |= {
                "feedback": quality.get("user_feedback"),
                "feedback_told": now_told,
                "takes_feedback": True,
            }
    if not change and not custom and not gone:
        return None
    return SourceChange(**change, custom_metadata=custom, removed=gone)


def _content_hash(values: Row) -> str:
    parts = values.get("parts")
    if not parts:
        return integrity.content_hash(values["text"].encode())
    text, stored = assemble(values["text"], check_parts("parts", parts))
    return hash_of({"text": text, "parts": stored})


def _difference(given: Row, row: Row) -> tuple[Row, list[str]]:
    """Return the custom fields that are new or changed, and those the source no longer has."""
    there: Row = row.get("custom_metadata") or {}
    own: Mapping[str, Any] = CustomMetadata.model_fields
    # The declared fields belong to the enrichers and the user; all others came from the source.
    changed = {
        name: value for name, value in given.items() if there.get(name) != value and name not in own
    }
    return changed, [name for name in there if name not in given and name not in own]
