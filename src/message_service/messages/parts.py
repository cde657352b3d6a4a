"""The parts of a message: from a caller's values to the stored form, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from message_service import errors
from message_service.arguments import check_sequence
from message_service.database.encoding import encoded_size
from message_service.documents.fields import MAX_TEXT_CODE_POINTS, Embedded
from message_service.documents.parts import (
    MAX_PARTS,
    MAX_PARTS_BYTES,
    TEXT_SEPARATOR,
    Attachment,
    AttachmentKind,
    Part,
    Reasoning,
    Refusal,
    TextPart,
    ToolCall,
    ToolResult,
    speaking,
)
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.enrichment.text_statistics import measure

ATTACHMENT_TOKENS: Mapping[AttachmentKind, int] = {
    AttachmentKind.IMAGE: 1_600,
    AttachmentKind.AUDIO: 1_000,
    AttachmentKind.VIDEO: 5_000,
    AttachmentKind.DOCUMENT: 2_000,
    AttachmentKind.FILE: 0,
}
"""Tokens assumed for an attachment whose `token_count` is not given.

An image takes at most about 1,600 tokens with Anthropic (width x height / 750, larger images are
scaled down) and up to 1,105 with OpenAI's GPT-4o; the other figures are guesses of a minute of
speech, a short clip and a few pages. A `file` is assumed not to be sent.
"""


class _Given(BaseModel):
    parts: list[Part]


_STORED: TypeAdapter[list[Part]] = TypeAdapter(list[Part])


def assemble(
    text: str,
    parts: Sequence[Part] | None = None,
    *,
    tool_calls: Sequence[ToolCall] | None = None,
    tool_call_id: str | None = None,
) -> tuple[str, list[Row] | None]:
    """Return `content.text` and the stored parts of a new message; None for plain text.

    Args:
        text: The text; empty when the parts hold it.
        parts: The parts in order. A `text` that no part holds becomes a part before them.
        tool_calls: Short form of an assistant's message: its text, then these calls.
        tool_call_id: Short form of a tool's message: its text is the result of this call.

    Raises:
        InvalidInput: Two of the forms are given at once, the text contradicts the parts, a call id
            repeats, a part says nothing, or there are too many parts or bytes.
    """
    given = list(parts or ())
    if (tool_calls is not None) + (tool_call_id is not None) + bool(given) > 1:
        field = "tool_calls" if tool_calls is not None else "tool_call_id"
        raise errors.InvalidInput(field, "is given beside another form of parts", "Use parts only")
    given += tool_calls or ()
    if tool_call_id is not None:
        given = [ToolResult(call_id=tool_call_id)]
    if not given:
        return text, None
    _check_parts(given)
    given = [part for part in given if not (isinstance(part, TextPart) and part.text == "")]
    texts = speaking(given)
    if text and not texts:
        texts = [TextPart()]
        given = [*texts, *given]
    elif len(texts) != 1 or texts[0].text is not None:
        joined = TEXT_SEPARATOR.join(part.text or "" for part in texts)
        if text and text != joined:
            raise errors.InvalidInput(
                "text", "is not the text of the parts", "Give the text in one of the two places"
            )
        text = joined
    if [type(part) for part in given] == [TextPart]:
        return text, None
    stored = [_row(part, keep_text=len(texts) > 1) for part in given]
    size = encoded_size("parts", {"parts": stored})
    if size > MAX_PARTS_BYTES:
        raise errors.InvalidInput(
            "parts",
            f"have {size:,} bytes",
            f"Use at most {MAX_PARTS_BYTES:,}; put long contents into an attachment",
        )
    return text, stored or None


def check_parts(field: str, values: object) -> list[Part]:
    """Return a caller's parts, checked.

    Raises:
        InvalidInput: One of them is not a part.
    """
    given = [
        part.model_dump() if isinstance(part, Embedded) else part
        for part in check_sequence(field, values)
    ]
    return checked(_Given, {"parts": given}).parts


def with_text(text: str, stored: Sequence[Row]) -> tuple[str, list[Part]]:
    """Return the new text and the parts of a stored message whose text is to be replaced.

    Raises:
        InvalidInput: The message has several parts with text, so that the place is unknown.
    """
    parts = _STORED.validate_python(stored)
    count = len(speaking(parts))
    if count > 1:
        raise errors.InvalidInput(
            "text", f"would replace the texts of {count} parts", "Give parts, with all the texts"
        )
    return text, [part for part in parts if text or not isinstance(part, TextPart)]


def read_parts(content: Mapping[str, Any]) -> list[Part]:
    """Return the parts of a stored message, each with its text; plain text is one part."""
    text: str = content["text"]
    stored: Sequence[Row] | None = content.get("parts")
    if stored is None:
        return [TextPart(text=text)] if text else []
    parts = _STORED.validate_python(stored)
    for part in speaking(parts):
        if part.text is None:
            part.text = text
    return parts


def call_ids(stored: Sequence[Row]) -> list[str]:
    """Return the ids of the calls that a message makes or answers, each once."""
    found = (part.get("id") or part.get("call_id") for part in stored if _of_tool(part))
    return list(dict.fromkeys(filter(None, found)))


def prompt_tokens(stored: Sequence[Row]) -> int:
    """Return the estimated tokens of the parts in a prompt, without texts and reasoning."""
    return sum(_TOKENS[part["type"]](part) for part in stored if part["type"] in _TOKENS)


def reasoning_tokens(stored: Sequence[Row]) -> int:
    """Return the estimated tokens of the reasoning in a message."""
    return sum(
        measure(part.get("text", "")).token_count for part in stored if part["type"] == "reasoning"
    )


def without_parts(content: Row, is_left_out: Callable[[Row], bool]) -> Row | None:
    """Return the content of a message without some of its parts; None when nothing is left.

    Token counts stay: what is left out of a prompt is not counted (reasoning), or rare.
    """
    stored: Sequence[Row] = content.get("parts") or ()
    kept = [
        part for part, row in zip(read_parts(content), stored, strict=True) if not is_left_out(row)
    ]
    if not kept:
        return None
    text, parts = assemble("", kept)
    rest = {name: value for name, value in content.items() if name != "parts"}
    return {**rest, "text": text} | ({} if parts is None else {"parts": parts})


def canonical(stored: Sequence[Row] | None) -> bytes:
    """Return the parts in the form that digests cover; nothing for plain text."""
    if not stored:
        return b""
    return json.dumps(stored, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def said(content: Mapping[str, Any]) -> str:
    """Return what stands for a message in one line: its text, or the names of what it holds."""
    text: str = content["text"]
    return text or ", ".join(names(content.get("parts") or ()))


def found_by(content: Mapping[str, Any]) -> str:
    """Return what a search looks through: text, names of files and tools, arguments of calls.

    Reasoning is looked through only in a message that holds nothing else.
    """
    text: str = content["text"]
    stored: Sequence[Row] = content.get("parts") or ()
    if not stored:
        return text
    arguments = (part["arguments"] for part in stored if part["type"] == "tool_call")
    said = [text, *names(stored), *arguments]
    if not any(said):
        said = [part.get("text", "") for part in stored if part["type"] == "reasoning"]
    return "\n".join(filter(None, said))[:MAX_TEXT_CODE_POINTS]


def names(stored: Sequence[Row]) -> Iterator[str]:
    """Yield the names of files and tools."""
    for part in stored:
        if _of_tool(part) or part["type"] == "attachment":
            name = part.get("name")
            if name:
                yield name


def _attachment_tokens(part: Row) -> int:
    given: int | None = part.get("token_count")
    if given is not None:
        return given
    name: str = part.get("name", "")
    return ATTACHMENT_TOKENS[AttachmentKind(part["kind"])] + measure(name).token_count


_TOKENS: Mapping[str, Callable[[Row], int]] = {
    "tool_call": lambda part: measure(part["name"] + part["arguments"]).token_count,
    "attachment": _attachment_tokens,
    "other": lambda part: measure(part["data"]).token_count,
}


def _of_tool(part: Row) -> bool:
    return part["type"] in ("tool_call", "tool_result")


def _row(part: Part, *, keep_text: bool) -> Row:
    row: Row = part.model_dump(exclude_none=True, mode="json")
    if isinstance(part, (TextPart, Refusal, ToolResult)):
        row.pop("text", None)
        if keep_text:
            row["text"] = part.text or ""
    return row


def _check_parts(parts: Sequence[Part]) -> None:
    if len(parts) > MAX_PARTS:
        raise errors.InvalidInput(
            "parts", f"are {len(parts):,}", f"Use at most {MAX_PARTS:,}; split the message"
        )
    ids = set[str]()
    for place, part in enumerate(parts):
        where = f"parts.{place}"
        if isinstance(part, ToolCall):
            if part.id in ids:
                raise errors.InvalidInput(
                    f"{where}.id", "repeats the id of another call", "Give each call its own id"
                )
            ids.add(part.id)
        elif isinstance(part, Reasoning):
            if part.text is None and part.encrypted is None and part.signature is None:
                raise errors.InvalidInput(where, "holds no reasoning", "Give text or encrypted")
        elif isinstance(part, Attachment) and (part.pointer or "").startswith("data:"):
            raise errors.InvalidInput(
                f"{where}.pointer",
                "holds the bytes themselves",
                "Store the bytes elsewhere and give the address",
            )
