"""The reader's opinions in a ChatGPT export: `message_feedback.json` beside the conversations.

Older exports name the message, newer ones only the conversation.
"""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.reading.json_reading import (
    array_items,
    as_list,
    as_object,
    as_text,
)
from message_service.interchange.reading.records import ImportedFeedback

_RATINGS = {"thumbs_up": "up", "thumbsup": "up", "thumbs_down": "down", "thumbsdown": "down"}


class Feedback:
    """Opinions by conversation and message."""

    def __init__(self) -> None:
        self._given: dict[str, list[tuple[str, ImportedFeedback]]] = {}

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry of the file; one without a rating says nothing."""
        rating = _RATINGS.get((as_text(entry.get("rating")) or "").lower())
        conversation = as_text(entry.get("conversation_id"))
        if rating is None or conversation is None:
            return
        message = as_text(entry.get("message_id")) or as_text(entry.get("id")) or ""
        said = _content(entry.get("content"))
        tags = [tag for tag in as_list(said.get("tags")) if isinstance(tag, str)]
        opinion = ImportedFeedback(rating, as_text(said.get("text")), tuple(tags[:100]))
        self._given.setdefault(_bare(conversation), []).append((message, opinion))

    def of_message(self, conversation: str, message: str) -> ImportedFeedback | None:
        """Return the last opinion of a message."""
        found = [
            given for name, given in self._given.get(_bare(conversation), ()) if name == message
        ]
        return found[-1] if found else None

    def of_conversation(self, conversation: str, nodes: Container[str]) -> list[dict[str, Any]]:
        """Return the opinions that name none of the conversation's nodes."""
        return [
            {"rating": given.rating}
            | ({"comment": given.comment} if given.comment else {})
            | ({"tags": list(given.tags)} if given.tags else {})
            for name, given in self._given.get(_bare(conversation), ())
            if name not in nodes
        ]


def feedback_beside(path: Path) -> Feedback:
    """Return the opinions of the export that a file of conversations belongs to."""
    feedback = Feedback()
    beside = path.parent / "message_feedback.json"
    try:
        for item in array_items(beside):
            entry = as_object(item)
            if entry is not None:
                feedback.add(entry)
    except errors.InvalidImport:
        pass  # missing or damaged: the conversations are complete without it
    return feedback


def _content(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {"text": value} if value.strip("{} ") else {}
    return as_object(value) or {}


def _bare(identifier: str) -> str:
    return identifier.replace("-", "")
