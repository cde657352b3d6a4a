"""What a conversation stores of its import: its document at first, and the mark of a source."""

from __future__ import annotations

from datetime import datetime

from message_service.documents.conversation import Conversation
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.ids import IdKind, derived_id
from message_service.interchange.intake import Intake, storable, user
from message_service.interchange.reading.records import ImportedConversation


def new_conversation(tenant_id: str, intake: Intake, now: datetime) -> Conversation:
    """Return the document of a conversation that is about to be imported."""
    source = intake.source
    began = source.created_at or next(
        (m.created_at for m in source.messages if m.created_at is not None),
        source.updated_at or now,
    )
    return checked(
        Conversation,
        {
            "tenant_id": tenant_id,
            "conversation_id": intake.conversation_id,
            "user_id": user(intake.format, source.sender),
            "character_id": (
                None
                if source.character is None
                else derived_id(IdKind.CHARACTER, intake.format, source.character)
            ),
            "title": title_of(source),
            "custom_metadata": source.custom or None,
            "created_at": began,
            "updated_at": now,
            "last_activity_at": began,
            "import_source": {**mark_of(intake, completed=False), "message_count": 0},
        },
    )


def mark_of(intake: Intake, *, completed: bool) -> Row:
    """Return the mark of an import: its source, and whether all of it is stored."""
    mark: Row = {
        "format": intake.format,
        "external_id": intake.source.external_id[:256],
        "fingerprint": intake.fingerprint,
        "message_count": len(intake.source.messages),
        "as_of": intake.as_of,
        "completed": completed,
    }
    if intake.source.custom:
        mark["custom_fields"] = sorted(intake.source.custom)
    return mark


def marked(conversation: Row | None) -> Row:
    """Return the mark of the last import of a conversation; empty when there is none."""
    return (conversation or {}).get("import_source") or {}


def title_of(source: ImportedConversation) -> str | None:
    """Return the title of a source as it can be stored."""
    return None if source.title is None else storable(source.title)[0][:500]
