"""Turns files inside JSON (base64, data URLs) into attachments that bring the files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from message_service.documents.parts import MAX_FILE_NAME, kind_of
from message_service.interchange.reading.records import ImportedFile, PartWithFiles, present

_MAX_MIME_TYPE = 256
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+=-]+)*),", re.IGNORECASE)
_BASE64 = ";base64"
_BYTES_NAMES = frozenset({"b64_json", "base64", "bytes", "file_data"})
"""Names of JSON values that hold base64 in every API that uses them."""

_TOO_SHORT = 64
"""A value under such a name that is shorter than this is kept: it may be no base64 at all."""


def attachment(
    kind: str,
    *,
    name: str | None = None,
    mime_type: str | None = None,
    pointer: str | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Return an attachment part.

    Args:
        kind: image, audio, video, document or file.
        name: The file's name.
        mime_type: Its MIME type; a data URL's own type is preferred.
        pointer: Where the bytes are. A data URL counts as `data`.
        data: The bytes as base64 or as a data URL; gives `size` and `hash`. Bytes that cannot be
            decoded give neither.
    """
    if pointer is not None and is_data_url(pointer):
        pointer, data = None, pointer
    content: bytes | None = None
    if data is not None:
        mime_type, content = decoded(data, mime_type)
        pointer = None
    part = present(
        {
            "type": "attachment",
            "kind": kind,
            "name": name[:MAX_FILE_NAME] if name else None,
            "mime_type": mime_type[:_MAX_MIME_TYPE] if mime_type else None,
            "size": None if content is None else len(content),
            "hash": None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}",
            "pointer": pointer,
        }
    )
    return (
        part if content is None else PartWithFiles(part, [ImportedFile(content, name, mime_type)])
    )


def is_data_url(text: str) -> bool:
    """Whether a text is a data URL with a MIME type or base64; other texts can begin with data:."""
    opening = _DATA_URL.match(text)
    return opening is not None and bool(opening[1] or _BASE64 in opening[2].lower())


def without_bytes(value: object) -> tuple[Any, list[dict[str, Any]]]:
    """Return a copy of a JSON value without the files inside it, and their attachments.

    A file's digest stands where its bytes were. There is no recursion, so any nesting is accepted.
    """
    found: list[dict[str, Any]] = []
    root: list[Any] = [value]
    pending: list[dict[str, Any] | list[Any]] = [root]
    while pending:
        holder = pending.pop()
        mime_type = _mime_type(holder) if isinstance(holder, dict) else None
        for key, inner in list(_entries(holder)):
            if isinstance(inner, Mapping):
                copy: Any = dict(cast("Mapping[str, Any]", inner))
                pending.append(copy)
            elif isinstance(inner, list):
                copy = list(cast("list[Any]", inner))
                pending.append(copy)
            elif isinstance(inner, str) and _is_file(holder, key, inner):
                part = attachment("file", mime_type=mime_type, data=inner)
                part["kind"] = kind_of(part.get("mime_type")).value
                found.append(part)
                copy = part.get("hash", "undecodable")
            else:
                continue
            cast("dict[Any, Any]", holder)[key] = copy
    return root[0], found


def json_text(value: object) -> str:
    """Return a value as JSON text; lone surrogates and numbers that are not finite are kept.

    Raises:
        RecursionError: It is nested too deeply.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=str)
    return text


def _entries(holder: dict[str, Any] | list[Any]) -> Any:
    return holder.items() if isinstance(holder, dict) else enumerate(holder)


def _mime_type(holder: Mapping[str, Any]) -> str | None:
    given = holder.get("media_type") or holder.get("mime_type")
    return given if isinstance(given, str) else None


def _is_file(holder: dict[str, Any] | list[Any], key: object, value: str) -> bool:
    if is_data_url(value):
        return _BASE64 in value[: value.index(",")].lower()
    if not isinstance(holder, dict):
        return False
    if key in _BYTES_NAMES:
        return len(value) >= _TOO_SHORT and decoded(value, None)[1] is not None
    if key == "data":
        return holder.get("type") == "base64" or holder.get("source_type") == "base64"
    # The image of a Responses item `image_generation_call`.
    return key == "result" and holder.get("type") == "image_generation_call"


def decoded(data: str, mime_type: str | None) -> tuple[str | None, bytes | None]:
    """Return type and bytes of a data URL or of base64; no bytes when they are damaged.

    Args:
        data: A data URL, or base64.
        mime_type: The type, unless a data URL names its own.
    """
    opening = _DATA_URL.match(data)
    if opening is not None:
        mime_type = opening[1] or mime_type
        data = data[opening.end() :]
        if _BASE64 not in opening[2].lower():
            return mime_type, unquote_to_bytes(data.encode("utf-8", "replace"))
    # A file without the padding at its end is complete all the same.
    data = "".join(data.split()).rstrip("=")
    data += "=" * (-len(data) % 4)
    try:
        return mime_type, base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return mime_type, None
