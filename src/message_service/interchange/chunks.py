"""Groups the conversations of a reader into chunks that are stored together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from message_service import errors
from message_service.arguments import check_instance
from message_service.interchange.intake import Intake
from message_service.interchange.intake import intake as begin_intake
from message_service.interchange.reading.records import ImportedConversation, PartWithFiles
from message_service.interchange.report import ImportReport

_CHUNK_MESSAGES = 1_000
_CHUNK_CONVERSATIONS = 200
_CHUNK_FILE_BYTES = 32 * 1024**2


def chunks(
    name: str, source: Iterable[ImportedConversation], report: ImportReport
) -> Iterator[list[Intake]]:
    """Group conversations so that each step of storing is one round trip for many."""
    chunk: list[Intake] = []
    seen: set[str] = set()
    size = weight = 0
    reader = iter(source)
    while True:
        try:
            conversation = next(reader, None)
        except errors.InvalidImport as error:
            report.error = error.message
            conversation = None
        if conversation is None:
            break
        check_instance("source", conversation, ImportedConversation)
        intake = begin_intake(name, conversation)
        if not conversation.messages:
            counted = intake.report.failed if conversation.unreadable else intake.report.skipped
            counted.update(item.reason for item in conversation.skipped)
            report.add(intake.report)
            continue
        if intake.conversation_id in seen:
            yield chunk
            chunk, seen, size, weight = [], set[str](), 0, 0
        seen.add(intake.conversation_id)
        chunk.append(intake)
        size += len(conversation.messages)
        weight += _files_in(conversation)
        full = size >= _CHUNK_MESSAGES or len(chunk) >= _CHUNK_CONVERSATIONS
        if full or weight >= _CHUNK_FILE_BYTES:
            yield chunk
            chunk, seen, size, weight = [], set[str](), 0, 0
    if chunk:
        yield chunk


def _files_in(conversation: ImportedConversation) -> int:
    """Return how many bytes the files inside a conversation have."""
    return sum(
        len(file.data)
        for message in conversation.messages
        for part in message.parts
        if isinstance(part, PartWithFiles)
        for file in part.files
    )
