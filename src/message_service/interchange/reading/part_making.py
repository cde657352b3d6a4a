"""Makes the parts of imported messages: valid values, texts of any length, files apart."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from message_service.documents.parts import MAX_POINTER, kind_of
from message_service.interchange.reading import data_urls
from message_service.interchange.reading.data_urls import is_data_url
from message_service.interchange.reading.json_reading import as_id, as_number, as_text
from message_service.interchange.reading.records import ImportedFile, PartWithFiles

Part = dict[str, Any]

_MAX_WORD = 256
_MAX_IN_CUSTOM = 4_000
_DATA_URL_IN_JSON = re.compile(r'"(data:[^"\\,]{0,256};base64,[^"\\]*)"', re.IGNORECASE)


def text_part(text: str) -> Part:
    """Return text that is shown."""
    return {"type": "text", "text": text}


def reasoning(text: str | None, signature: object = None, encrypted: object = None) -> Part:
    """Return what the model thought."""
    return _without_none(
        {
            "type": "reasoning",
            "text": text,
            "signature": as_text(signature),
            "encrypted": as_text(encrypted),
        }
    )


def tool_call(own: str, name: object, arguments: object) -> Part:
    """Return a tool call; arguments that are not text are written as JSON."""
    files: list[ImportedFile] = []
    part = {
        "type": "tool_call",
        "id": call_id(own),
        "name": _word(name),
        "arguments": "",
    }
    if isinstance(arguments, str):
        part["arguments"] = _bare(arguments, files)
    elif arguments is not None:
        part["arguments"] = json_text(arguments, files)
    return PartWithFiles(part, files) if files else part


def tool_result(call: str, text: str, *, name: object = None, failed: bool = False) -> Part:
    """Return what a tool answered."""
    return _without_none(
        {
            "type": "tool_result",
            "call_id": call_id(call),
            "status": "error" if failed else "ok",
            "name": _word(name) if as_text(name) else None,
            "text": text,
        }
    )


def citation(title: object, url: object, quote: object = None) -> Part | None:
    """Return a source that the text refers to; None when nothing is known about it."""
    address = as_text(url)
    facts = {
        "title": (as_text(title) or "")[:MAX_POINTER] or None,
        "url": address if address is None or len(address) <= MAX_POINTER else None,
        "quote": as_text(quote),
    }
    found = _without_none(facts)
    return {"type": "citation", **found} if found else None


def other(name: object, data: object) -> Part:
    """Return a part of a kind that has no model here."""
    files: list[ImportedFile] = []
    part = {"type": "other", "name": _word(name), "data": json_text(data, files)}
    return PartWithFiles(part, files) if files else part


def attachment(
    pointer: object = None, *, name: object = None, mime_type: object = None, size: object = None
) -> Part:
    """Return a file; in the place of a `data:` URL it has its type, size and digest.

    Args:
        pointer: A URL, or the provider's pointer.
        name: The file's name.
        mime_type: Its MIME type; other words for a type, such as `txt`, are ignored.
        size: Its size in bytes.
    """
    address = as_text(pointer) or ""
    called = as_text(name)
    given = as_text(mime_type)
    if given is None or "/" not in given:
        given = None if is_data_url(address) else mimetypes.guess_type(called or "")[0]
    known = is_data_url(address) or len(address) <= MAX_POINTER
    part = data_urls.attachment(
        "file", name=called, mime_type=given, pointer=(address or None) if known else None
    )
    part["kind"] = kind_of(part.get("mime_type")).value
    length = as_number(size)
    if "size" not in part and length is not None and length >= 0 and length == int(length):
        part["size"] = int(length)
    return part


def media(source: Mapping[str, Any], name: object) -> Part:
    """Return the file of an Anthropic `source`: text, base64 data, a URL, or a file's id."""
    data = as_text(source.get("data"))
    if data is not None and source.get("type") == "text":
        return text_part(data)
    if data is not None:
        kind = as_text(source.get("media_type")) or ""
        pointer: object = f"data:{kind[:128]};base64,{data}"
    else:
        pointer = source.get("url") or source.get("file_id")
    return attachment(pointer, name=name, mime_type=source.get("media_type"))


def unknown(kind: object, block: Mapping[str, Any], ignored: Collection[str]) -> list[Part]:
    """Return the parts of a block of an unknown type: its text, and its other fields as JSON.

    Args:
        kind: The type.
        block: The block.
        ignored: Fields that nobody wrote.
    """
    text = as_text(block.get("text"))
    left_out = {*ignored, *(("text",) if text is not None else ())}
    rest = {name: value for name, value in block.items() if name not in left_out and full(value)}
    parts = [text_part(text)] if text is not None else []
    return [*parts, other(kind, rest)] if rest else parts


def full(value: object) -> bool:
    """Whether a value tells anything: it is not null, false or empty."""
    return value is not None and value is not False and value not in ("", [], {})


def unread(record: Mapping[str, Any], known: Collection[str]) -> str | None:
    """Return the fields of a record that its reader does not know, as JSON; None without any."""
    rest = {name: value for name, value in record.items() if name not in known and full(value)}
    return json_text(rest) if rest else None


def remainder(record: Mapping[str, Any], known: Collection[str]) -> tuple[str | None, list[Part]]:
    """Return the fields of a record that its reader does not know, as JSON.

    They are a text for a custom fact, or a part when they are too long for that.
    """
    written = unread(record, known)
    if written is None or len(written) <= _MAX_IN_CUSTOM:
        return written, []
    return None, [{"type": "other", "name": "other_fields", "data": written}]


def plain(parts: Iterable[Part]) -> tuple[str, list[Part]]:
    """Return `text` and `parts` of a message: a message of one text has no parts."""
    found = list(parts)
    if len(found) == 1 and found[0]["type"] == "text":
        return found[0]["text"], []
    return "", found


def json_text(value: object, files: list[ImportedFile] | None = None) -> str:
    """Return a value as JSON; `data:` URLs in it are replaced by their descriptions.

    Args:
        value: The value.
        files: The files in it are added to this list.
    """
    try:
        written = data_urls.json_text(value)
    except RecursionError:  # the parser accepts a few levels more than the writer
        return '"nested too deeply"'
    return _bare(written, [] if files is None else files)


def call_id(given: str) -> str:
    """Return the id of a call as one that can be stored; long ids are replaced by a digest."""
    return as_id(given) or "unnamed"


def _bare(written: str, files: list[ImportedFile]) -> str:
    """Return JSON with descriptions in the place of `data:` URLs, whose files are added."""
    return _DATA_URL_IN_JSON.sub(lambda found: json.dumps(_described(found[1], files)), written)


def _described(url: str, files: list[ImportedFile]) -> Part | None:
    """Return type, size and digest of a `data:` URL's file, which is added; None for others."""
    if not is_data_url(url):
        return None
    part = data_urls.attachment("file", pointer=url)
    if isinstance(part, PartWithFiles):
        files.extend(part.files)
    facts = {name: part[name] for name in ("size", "hash") if name in part}
    return {"mime_type": part.get("mime_type", "text/plain"), **facts}


def _word(value: object) -> str:
    return (as_text(value) or "unnamed")[:_MAX_WORD]


def _without_none(facts: Mapping[str, Any]) -> Part:
    return {name: value for name, value in facts.items() if value is not None}
