"""The collection `characters`: who speaks in a character chat, as the prompt needs it.

The fields are those of character cards (V2): what the model is told of the character.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from message_service.documents.fields import (
    MAX_TEXT_CODE_POINTS,
    CharacterId,
    Count,
    Moment,
    Name,
    StoredDocument,
    TenantId,
)

CardText = Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]

MOST_DEPTH = 1_000
"""Most messages an author's note stands before the end."""

Depth = Annotated[int, Field(ge=0, le=MOST_DEPTH)]


class Character(StoredDocument):
    """One character of one tenant.

    In all texts, `{{char}}` stands for the character's name and `{{user}}` for the user's.

    Attributes:
        name: The character's name.
        system_prompt: What the model is told first.
        description: Who the character is.
        personality: How the character is.
        scenario: Where and when the chat takes place.
        example_dialogue: How the character talks; `<START>` begins another dialogue.
        post_history_instructions: What the model is told last.
        author_note: A reminder that stands `author_note_depth` messages before the end.
        author_note_depth: 0 puts it at the end.
    """

    tenant_id: TenantId
    character_id: CharacterId
    name: Name
    system_prompt: CardText | None = None
    description: CardText | None = None
    personality: CardText | None = None
    scenario: CardText | None = None
    example_dialogue: CardText | None = None
    post_history_instructions: CardText | None = None
    author_note: CardText | None = None
    author_note_depth: Depth | None = None
    created_at: Moment
    updated_at: Moment
    revision: Count = 1

    class Settings:
        """Beanie's settings."""

        name = "characters"
