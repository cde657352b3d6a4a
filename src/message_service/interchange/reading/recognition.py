"""Distinguishes a file of another format from a file whose first records are damaged."""

from __future__ import annotations

from collections.abc import Iterator

from message_service import errors
from message_service.interchange.reading.records import ImportedConversation

_PATIENCE = 20


def recognised(
    found: Iterator[ImportedConversation], refusal: errors.InvalidImport
) -> Iterator[ImportedConversation]:
    """Yield the conversations a reader finds in one file, unless the file has another format.

    Unreadable records are held back until a record can be read; that confirms the format.

    Args:
        found: The conversations that the reader finds.
        refusal: The error to raise when none of the first 20 records (or of all records, if there
            are fewer) can be read.

    Raises:
        InvalidImport: `refusal`.
    """
    held: list[ImportedConversation] = []
    for conversation in found:
        held.append(conversation)
        if not conversation.unreadable:
            yield from held
            yield from found
            return
        if len(held) == _PATIENCE:
            break
    if held:
        raise refusal
