"""Tells a file of another format from one of the right format whose first records are damaged."""

from __future__ import annotations

from collections.abc import Iterator

from message_service import errors
from message_service.interchange.records import ImportedConversation

_PATIENCE = 20


def recognised(
    found: Iterator[ImportedConversation], refusal: errors.InvalidImport
) -> Iterator[ImportedConversation]:
    """Yield what a reader finds in one file, unless the file is of another format.

    Records that cannot be read are held back until one can: then the file is of the format.

    Args:
        found: What the reader finds.
        refusal: Raised when none of the first 20 records can be read, or none of fewer.

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
