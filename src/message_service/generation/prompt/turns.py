"""Makes turns of stored messages: what a model is shown of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from message_service.documents.message import Role
from message_service.documents.parts import Attachment, ToolCall, ToolResult
from message_service.generation.provider import Turn
from message_service.messages.continuations import joined
from message_service.messages.rows import StoredMessage

_NOTHING_ANSWERED = "(no text)"


def turns_of(messages: Sequence[StoredMessage], unanswered: Collection[str]) -> list[Turn]:
    """Return the turns of messages, in order; a message and its continuations are one.

    Files are named, not shown. Calls that have no result in the prompt are left out, because most
    providers refuse a prompt that goes on after such a call.

    Args:
        messages: The messages.
        unanswered: The ids of the calls without a result.
    """
    return [turn for message in joined(messages) for turn in _turns(message, unanswered)]


def _turns(message: StoredMessage, unanswered: Collection[str]) -> Iterator[Turn]:
    match message.role:
        case Role.TOOL:
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield Turn(
                        "tool",
                        part.text or _NOTHING_ANSWERED,
                        call_id=part.call_id,
                        failed=part.status == "error",
                    )
        case Role.ASSISTANT:
            calls = tuple(
                part
                for part in message.parts
                if isinstance(part, ToolCall) and part.id not in unanswered
            )
            text = _text(message)
            if text or calls:
                yield Turn("assistant", text, calls)
        case Role.SYSTEM:
            yield Turn("system", _text(message))
        case _:
            yield Turn("user", _text(message))


def _text(message: StoredMessage) -> str:
    """Return the text of a message, with the names of its files."""
    files = [
        f"[{part.kind.value}: {part.name or part.mime_type or 'without a name'}]"
        for part in message.parts
        if isinstance(part, Attachment)
    ]
    return "\n".join([*([message.text] if message.text else []), *files])
