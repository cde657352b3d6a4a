"""Updates stored messages from a newer source."""

from __future__ import annotations

from collections.abc import Mapping

from message_service.documents.message import CustomMetadata
from message_service.documents.row import Row
from message_service.interchange.intake import Intake
from message_service.messages import integrity
from message_service.messages.content import hash_of
from message_service.messages.new_message import check_new_message
from message_service.messages.parts import assemble, check_parts
from message_service.messages.repeats import request_fingerprint
from message_service.messages.takeover import Takeover


class Revisions:
    """Compares the messages of an import with the stored messages.

    A text that was edited in this service stays, unless the source changed its own text; then the
    previous text is kept as a version. Where it is unknown which of two texts is newer, nothing is
    overwritten and the difference is reported.

    Args:
        changes: Writes the changes to the tenant's messages.
    """

    def __init__(self, changes: Takeover) -> None:
        self._changes = changes

    async def apply(self, intake: Intake, stored: Mapping[str, Row], age: int) -> None:
        """Change the stored messages that differ from the import.

        Args:
            intake: The intake of the conversation.
            stored: The stored messages by id, as read by `CONVERSATION_LAYOUT`.
            age: See `Intake.age`.
        """
        for node in intake.nodes:
            row = stored.get(node.message_id)
            if row is None or age < 0:
                continue
            values = intake.values[node.message_id]
            text: str | None = values["text"]
            fingerprint = None
            content_hash = _content_hash(values)
            if row["content"]["content_hash"] == content_hash:
                text = None
            else:
                fingerprint = request_fingerprint(
                    check_new_message(values),
                    content_hash,
                    row["user_id"],
                    row.get("character_id"),
                )
                client: Row = row.get("client_metadata") or {}
                if fingerprint == client.get("content_fingerprint"):
                    text = fingerprint = None  # the text was edited in this service
                elif age == 0:
                    intake.report.failed["idempotency_conflict"] += 1
                    continue
            custom, gone = _difference(values.get("custom_metadata") or {}, row)
            if text is None and not custom and not gone:
                continue
            await self._changes.take_over(
                intake.conversation_id,
                node.message_id,
                text=text,
                parts=values.get("parts"),
                fingerprint=fingerprint,
                custom_metadata=custom,
                removed=gone,
            )
            intake.report.updated += 1


def _content_hash(values: Row) -> str:
    parts = values.get("parts")
    if not parts:
        return integrity.content_hash(values["text"].encode())
    text, stored = assemble(values["text"], check_parts("parts", parts))
    return hash_of({"text": text, "parts": stored})


def _difference(given: Row, row: Row) -> tuple[Row, list[str]]:
    """Return the custom fields that are new or changed, and those the source no longer has."""
    there: Row = row.get("custom_metadata") or {}
    changed = {name: value for name, value in given.items() if there.get(name) != value}
    # The declared fields belong to the enrichers and the user; all others came from the source.
    gone = [name for name in there if name not in given and name not in CustomMetadata.model_fields]
    return changed, gone
