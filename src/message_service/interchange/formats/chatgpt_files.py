"""The files that a message of a ChatGPT export refers to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from message_service.documents.parts import kind_of
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text

_ID = re.compile(r"(file[-_][A-Za-z0-9]{8,})(?=[-.]|$)")

Part = dict[str, Any]

_MEDIA = ("image", "audio", "video")
_INNER = ("audio_asset_pointer", "video_container_asset_pointer", "frames_asset_pointers")


def attachment_id(name: str) -> str | None:
    """Return the id of the file that a member of an export holds.

    The names of all eras begin with it (`file-abc-cat.png`, `file_000-sanitized.png`,
    `file_000.dat`), in the export's own folder or in one like `dalle-generations`.
    """
    found = _ID.match(name)
    return None if found is None else found[1]


class Files:
    """The attachments of one message, named by pointers in its content and by its metadata.

    A file that was uploaded is named twice, by a pointer in the content and by an entry in the
    metadata. The two have the same id; only the entry has the file's name.

    Args:
        metadata: The message's metadata.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._entries: dict[str, Mapping[str, Any]] = {}
        for number, value in enumerate(as_list(metadata.get("attachments"))):
            entry = as_object(value)
            if entry is not None:
                identifier = as_text(entry.get("id")) or f"#{number}"
                self._entries.setdefault(identifier, entry)
        self._mentioned = set[str]()

    def named_by(self, holder: Mapping[str, Any]) -> Iterator[Part]:
        """Yield the attachments that a part of the content points to."""
        pointer = as_text(holder.get("asset_pointer"))
        if pointer is not None:
            yield self._attachment(pointer, holder)
            said = as_object((as_object(holder.get("metadata")) or {}).get("transcription")) or {}
            text = as_text(said.get("text"))
            if text is not None:
                yield {"type": "text", "text": text}
        for name in _INNER:
            value: object = holder.get(name)
            for inner in as_list(value) or [value]:
                found = as_object(inner)
                if found is not None:
                    yield from self.named_by(found)

    def unmentioned(self) -> Iterator[Part]:
        """Yield the attachments that no part of the content points to."""
        for identifier, entry in self._entries.items():
            if identifier not in self._mentioned:
                pointer = None if identifier.startswith("#") else identifier
                yield _part(_kind(_mime(entry), ""), entry, pointer)

    def _attachment(self, pointer: str, holder: Mapping[str, Any]) -> Part:
        identifier = pointer.rpartition("://")[2]
        self._mentioned.add(identifier)
        entry = self._entries.get(identifier, {})
        kind = _kind(_mime(entry), as_text(holder.get("content_type")) or "")
        size = {"size": holder.get("size_bytes")} if "size_bytes" in holder else {}
        return _part(kind, {**size, **entry}, pointer)


def _part(kind: str, entry: Mapping[str, Any], pointer: str | None) -> Part:
    size = as_number(entry.get("size"))
    facts = {
        "name": as_text(entry.get("name")),
        "mime_type": _mime(entry),
        "size": int(size) if size is not None and size >= 0 else None,
        "pointer": pointer,
    }
    known = {name: value for name, value in facts.items() if value is not None}
    return {"type": "attachment", "kind": kind, **known}


def _mime(entry: Mapping[str, Any]) -> str | None:
    return as_text(entry.get("mime_type")) or as_text(entry.get("mimeType"))


def _kind(mime: str | None, content_type: str) -> str:
    if mime is None:
        mime = next((f"{kind}/" for kind in _MEDIA if content_type.startswith(kind)), None)
    return kind_of(mime).value
