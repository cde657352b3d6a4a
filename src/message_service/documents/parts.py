"""The parts of a message: text, tool calls and results, reasoning, attachments and others.

A message of plain text has no parts. In a message with parts, they stand in the order in which the
provider or the client gave them. `content.text` holds the readable text: the texts of the parts
`text`, `refusal` and `tool_result`, joined by `TEXT_SEPARATOR`. When there is only one such part,
its text is not stored a second time: the part has no `text` of its own, and `content.text` is it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, Strict, StringConstraints

from message_service.documents.fields import Count, Digest, Embedded, Name, Text

MAX_PARTS = 1_000
"""Most parts of a message."""

MAX_PARTS_BYTES = 1024 * 1024
"""Most bytes of BSON for the parts of a message; longer contents belong in an attachment."""

TEXT_SEPARATOR = "\n"
"""Stands in `content.text` between the texts of two parts."""

MAX_FILE_NAME = 1_024
"""Most characters of an attachment's name."""

MAX_POINTER = 4_096
"""Most characters of a pointer or URL."""

DIGEST_OF_FILE = r"sha256:[0-9a-f]{64}"
"""The form of the digest of a file's bytes."""

_LONG = 500_000


def _json_text(value: object) -> object:
    """Return an object or list as JSON; providers give arguments as either text or object."""
    if isinstance(value, (dict, list)):
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("cannot be written as JSON") from None
    return value


CallId = Annotated[str, StringConstraints(min_length=1, max_length=256), Strict()]
"""The id of a tool call, as the provider gave it."""

_Word = Annotated[str, StringConstraints(min_length=1, max_length=256), Strict()]
_Long = Annotated[str, StringConstraints(max_length=_LONG), Strict()]
_Json = Annotated[str, StringConstraints(max_length=_LONG), Strict(), BeforeValidator(_json_text)]
_Address = Annotated[str, StringConstraints(max_length=MAX_POINTER), Strict()]


class ToolStatus(StrEnum):
    """Whether a tool did what it was called for."""

    OK = "ok"
    ERROR = "error"


class AttachmentKind(StrEnum):
    """The kind of an attachment."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"
    FILE = "file"


_DOCUMENTS = (
    "text/",
    "application/pdf",
    "application/msword",
    "application/rtf",
    "application/epub",
    "application/json",
    "application/xml",
    "application/vnd.ms-",
    "application/vnd.openxmlformats-",
    "application/vnd.oasis.opendocument.",
)
"""How the MIME types of documents begin."""


def kind_of(mime_type: str | None, default: AttachmentKind = AttachmentKind.FILE) -> AttachmentKind:
    """Return the kind of attachment that a MIME type stands for, else `default`."""
    given = mime_type or ""
    family = given.partition("/")[0]
    if family in ("image", "audio", "video"):
        return AttachmentKind(family)
    return AttachmentKind.DOCUMENT if given.startswith(_DOCUMENTS) else default


class TextPart(Embedded):
    """Text that is shown.

    Attributes:
        text: The text. In the stored document it is absent where `content.text` is this text.
    """

    type: Literal["text"] = "text"
    text: Text | None = None


class ToolCall(Embedded):
    """A call of a tool by the model.

    Attributes:
        id: The id by which the result names the call.
        name: The tool.
        arguments: The arguments as JSON text, exactly as the provider gave them; an object is
            accepted and written as JSON.
    """

    type: Literal["tool_call"] = "tool_call"
    id: CallId
    name: _Word
    arguments: _Json = ""


class ToolResult(Embedded):
    """What a tool answered.

    Attributes:
        call_id: The id of the call.
        status: Whether the tool succeeded.
        name: The tool, if the provider repeats it.
        text: The answer, as in `TextPart`.
    """

    type: Literal["tool_result"] = "tool_result"
    call_id: CallId
    status: ToolStatus = ToolStatus.OK
    name: Name | None = None
    text: Text | None = None


class Reasoning(Embedded):
    """What the model thought; never part of `content.text`, and left out of prompt windows.

    Attributes:
        text: The thoughts or their summary.
        signature: The provider's proof that the text is unchanged (Anthropic's `signature`).
        encrypted: Thoughts the provider does not show (Anthropic's `redacted_thinking.data`,
            OpenAI's `encrypted_content`).
    """

    type: Literal["reasoning"] = "reasoning"
    text: _Long | None = None
    signature: _Long | None = None
    encrypted: _Long | None = None


class Attachment(Embedded):
    """A file that belongs to the message; its bytes are never inside the message.

    Attributes:
        kind: image, audio, video, document or file.
        name: The file's name.
        mime_type: Its MIME type.
        size: Its size in bytes.
        hash: Digest of its bytes.
        pointer: Where the bytes are: a URL, or a provider's pointer.
        token_count: Tokens it takes in a prompt, if the caller knows.
    """

    type: Literal["attachment"] = "attachment"
    kind: AttachmentKind = AttachmentKind.FILE
    name: Annotated[str, StringConstraints(max_length=MAX_FILE_NAME), Strict()] | None = None
    mime_type: Name | None = None
    size: Count | None = None
    hash: Digest | None = None
    pointer: _Address | None = None
    token_count: Count | None = None


class Refusal(Embedded):
    """The model's refusal to answer.

    Attributes:
        text: Its words, as in `TextPart`.
    """

    type: Literal["refusal"] = "refusal"
    text: Text | None = None


class Citation(Embedded):
    """A source that the text refers to.

    Attributes:
        title: Its title.
        url: Its address.
        quote: The passage that is cited.
        start: Where in `content.text` the cited passage begins, in code points.
        end: The position after its end.
    """

    type: Literal["citation"] = "citation"
    title: Annotated[str, StringConstraints(max_length=MAX_POINTER), Strict()] | None = None
    url: _Address | None = None
    quote: Text | None = None
    start: Count | None = None
    end: Count | None = None


class OtherPart(Embedded):
    """A part of a kind that has no model here, kept as it came.

    Attributes:
        name: The provider's name of the kind.
        data: The part as JSON text; an object is accepted and written as JSON.
    """

    type: Literal["other"] = "other"
    name: _Word
    data: _Json = ""


def _with_a_type(value: object) -> object:
    """Refuse a part whose type is no string: pydantic would write the type into its message."""
    if isinstance(value, Mapping):
        kind = cast("Mapping[str, Any]", value).get("type")
        if kind is not None and not isinstance(kind, str):
            raise ValueError("type is not a string")
    return cast("object", value)


Part = Annotated[
    TextPart | ToolCall | ToolResult | Reasoning | Attachment | Refusal | Citation | OtherPart,
    Field(discriminator="type"),
    BeforeValidator(_with_a_type),
]
"""One part of a message."""

SpeakingPart = TextPart | Refusal | ToolResult
"""A part whose text is in `content.text`."""

SPEAKING = frozenset({"text", "refusal", "tool_result"})
"""The types of these parts."""


def speaking(parts: Iterable[Part]) -> list[SpeakingPart]:
    """Return the parts whose texts make up `content.text`."""
    return [part for part in parts if isinstance(part, (TextPart, Refusal, ToolResult))]


def texts_agree(text: str, parts: Iterable[Part]) -> bool:
    """Whether `content.text` is the text of the stored parts."""
    own = [part.text for part in speaking(parts)]
    if len(own) < 2:
        return own == [None] or (not own and not text)
    return None not in own and text == TEXT_SEPARATOR.join(part or "" for part in own)


def openai_call(value: object) -> object:
    """Return a tool call in OpenAI's form (`function`) in ours; other values unchanged."""
    if not isinstance(value, Mapping):
        return value
    given = cast("Mapping[str, Any]", value)
    function = given.get("function")
    if not isinstance(function, Mapping) or given.get("type", "function") != "function":
        return cast("object", value)
    named = cast("Mapping[str, Any]", function)
    return {
        "id": given.get("id"),
        "name": named.get("name"),
        "arguments": named.get("arguments") or "",
    }


GivenCall = Annotated[ToolCall, BeforeValidator(openai_call)]
"""A tool call in our form or in OpenAI's."""
