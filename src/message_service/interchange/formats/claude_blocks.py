"""Reads the content of a message in Claude's data exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from message_service.interchange.reading import part_making
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.part_making import Part

_NOT_WRITTEN = frozenset(
    {
        *("type", "start_timestamp", "stop_timestamp", "flags", "uuid", "id", "cut_off"),
        *("truncated", "alternative_display_type"),
    }
)
"""Fields of blocks that hold nothing that a person or a model wrote."""

_PLACEHOLDER = "```\nThis block is not supported on your current device yet.\n```"
"""What older exports have in a message's `text` in the place of a block."""


@dataclass(slots=True)
class Content:
    """The content of a message.

    Attributes:
        parts: Its parts in order.
        unknown: The types of its blocks that have no model here, separated by commas.
        notes: What the model or the program said about tool calls while they ran.
    """

    parts: list[Part] = field(default_factory=list[Part])
    unknown: str = ""
    notes: list[str] = field(default_factory=list[str])


def content_of(record: Mapping[str, Any], own: str) -> Content:
    """Return the content of a message: its blocks, or in older exports its text; then its files.

    Args:
        record: The message.
        own: Its id, from which ids of tool calls are made where the export has none.
    """
    blocks = _Blocks(own)
    given = record.get("content")
    if isinstance(given, str):
        blocks.content.parts.append(part_making.text_part(given))
    for place, block in enumerate(as_list(given), start=1):
        blocks.add(block, place)
    content = blocks.content
    content.parts = [part for part in content.parts if part != part_making.text_part("")]
    if not any(part["type"] == "text" for part in content.parts):
        text = (as_text(record.get("text")) or "").replace(_PLACEHOLDER, "")
        if text.strip():
            content.parts.append(part_making.text_part(text))
    content.parts += _files(record)
    content.unknown = ", ".join(sorted(blocks.unknown))
    return content


def _files(record: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    for item in as_list(record.get("attachments")):
        given = as_object(item) or {}
        parts.append(
            part_making.attachment(
                given.get("id"),
                name=given.get("file_name"),
                mime_type=given.get("file_type"),
                size=given.get("file_size"),
            )
        )
        pasted = as_text(given.get("extracted_content"))
        if pasted is not None:
            parts.append(part_making.text_part(pasted))
    seen: set[str] = set()
    for item in [*as_list(record.get("files")), *as_list(record.get("files_v2"))]:
        given = as_object(item) or {}
        pointer = as_text(given.get("file_uuid")) or as_text(given.get("uuid"))
        if pointer is None or pointer not in seen:
            size = given.get("size_bytes")
            parts.append(part_making.attachment(pointer, name=given.get("file_name"), size=size))
        if pointer is not None:
            seen.add(pointer)
    return parts


class _Blocks:
    """The blocks of one message while they are read."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._open: list[tuple[str, str | None]] = []  # calls without an id: id made here, tool
        self.content = Content()
        self.unknown: set[str] = set()

    def add(self, item: object, place: int) -> None:
        """Read a block.

        Args:
            item: The block.
            place: Its position, counted from 1.
        """
        block = as_object(item)
        parts = self.content.parts
        if block is None:
            if isinstance(item, str):
                parts.append(part_making.text_part(item))
            elif item is not None:
                parts.append(part_making.other("unknown", item))
            return
        kind = as_text(block.get("type")) or "unknown"
        match kind:
            case "text" | "voice_note":
                parts.extend(_text(block))
            case "thinking" | "redacted_thinking":
                parts.extend(_thinking(block))
            case "token_budget":
                pass  # only times
            case "image" | "document" | "file":
                parts.append(_file(block))
            case _ if kind.endswith("tool_use"):
                self._call(block, place)
            case _ if kind.endswith("tool_result"):
                self._result(block, place)
            case _:
                self.unknown.add(kind)
                parts.extend(part_making.unknown(kind, block, _NOT_WRITTEN))

    def _call(self, block: Mapping[str, Any], place: int) -> None:
        given = block.get("input")
        name = as_text(block.get("name"))
        own = as_text(block.get("id"))
        own = own or as_text((as_object(given) or {}).get("_tool_call_id"))
        if own is None:
            own = f"{self._own}/{place}"
            self._open.append((own, name))
        self.content.parts.append(part_making.tool_call(own, name, given))
        self._note(block)

    def _result(self, block: Mapping[str, Any], place: int) -> None:
        name = as_text(block.get("name"))
        call = as_text(block.get("tool_use_id")) or self._only_open(name) or f"{self._own}/{place}"
        given = block.get("content")
        texts: list[str] = [given] if isinstance(given, str) else []
        more: list[Part] = []
        for item in as_list(given) or [given]:
            inner = as_object(item)
            if inner is None:
                texts.extend([item] if isinstance(item, str) and item != given else [])
            elif inner.get("type") in ("image", "document", "file"):
                more.append(_file(inner))
            elif as_text(inner.get("text")) is not None:
                known = (as_text(inner.get(field)) for field in ("title", "url", "text"))
                texts.extend(filter(None, known))
            else:
                more.append(part_making.other(inner.get("type"), inner))
        structured = block.get("structured_content")
        if not texts and structured is not None:
            texts.append(part_making.json_text(structured))
        failed = block.get("is_error") is True
        text = "\n".join(texts)
        self.content.parts.append(part_making.tool_result(call, text, name=name, failed=failed))
        self.content.parts.extend(more)
        self._note(block)

    def _only_open(self, name: str | None) -> str | None:
        """Return the call that a result without an id answers, if it can only be one.

        Results of parallel calls come in the order of completion, so that the position alone does
        not tell.
        """
        fitting = [call for call in self._open if name in (None, call[1])]
        if len(fitting) != 1:
            return None
        self._open.remove(fitting[0])
        return fitting[0][0]

    def _note(self, block: Mapping[str, Any]) -> None:
        note = as_text(block.get("message"))
        if note is not None:
            self.content.notes.append(note)


def _text(block: Mapping[str, Any]) -> list[Part]:
    text = as_text(block.get("text"))
    parts = [part_making.text_part(text)] if text is not None else []
    title = as_text(block.get("title"))
    if title is not None:
        parts.insert(0, part_making.text_part(title))
    for item in as_list(block.get("citations")):
        cited = as_object(item) or {}
        details = {**(as_object(cited.get("details")) or {}), **cited}
        source = part_making.citation(
            details.get("title"), details.get("url"), details.get("cited_text")
        )
        parts.append(source or part_making.other("citation", item))
    return parts


def _thinking(block: Mapping[str, Any]) -> list[Part]:
    found = part_making.reasoning(
        as_text(block.get("thinking")), block.get("signature"), block.get("data")
    )
    parts = [found] if len(found) > 1 else []
    summaries = block.get("summaries")
    if part_making.full(summaries):
        parts.append(part_making.other("thinking_summaries", summaries))
    return parts


def _file(block: Mapping[str, Any]) -> Part:
    source = as_object(block.get("source"))
    name = as_text(block.get("file_name")) or as_text(block.get("title"))
    if source is not None:
        return part_making.media(source, name)
    pointer = as_text(block.get("file_uuid")) or as_text(block.get("url"))
    part = part_making.attachment(pointer, name=name, mime_type=block.get("media_type"))
    if block.get("type") == "image":
        part["kind"] = "image"
    return part
