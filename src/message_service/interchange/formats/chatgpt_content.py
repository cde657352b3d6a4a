"""What a message of a ChatGPT export says: its text and parts, by content type.

The types and their fields have changed several times since 2023. Text in a field or type that is
not known is kept as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from message_service.documents.parts import MAX_POINTER
from message_service.interchange.formats.chatgpt_files import Files
from message_service.interchange.reading.json_reading import as_list, as_object, as_text

Part = dict[str, Any]

REASONING = frozenset({"thoughts", "reasoning_recap"})
CONTEXT = frozenset({"user_editable_context", "model_editable_context", "app_pairing_content"})
"""Types that ChatGPT does not show: memories and custom instructions."""

ERROR = "system_error"

_TEXT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "code": ("text",),
    "execution_output": ("text",),
    "tether_quote": ("text",),
    "tether_browsing_display": ("result", "summary"),
    "sonic_webpage": ("text", "snippet"),
    "system_error": ("text",),
    "citable_code_output": ("output_str",),
    "reasoning_recap": ("content",),
    "user_editable_context": ("user_profile", "user_instructions"),
    "model_editable_context": ("model_set_context",),
}
"""The fields with the text of a type, all of which are read, except as said in `_FIRST_OF`."""

_FIRST_OF = frozenset({"tether_browsing_display", "sonic_webpage"})
"""Types whose further fields shorten the first one."""

_WITH_PARTS = frozenset({"text", "multimodal_text"})
_NO_TEXT = frozenset({
    "content_type", "language", "domain", "url", "title", "tether_id", "ref_id", "name",
    "response_format_name", "source_analysis_msg_id", "crawl_date", "pub_date", "repository",
    "repo_summary", "parent_id", "id", "status", "format", "type",
})  # fmt: skip


def parts_of(content: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Part]:
    """Return the parts of a message in order; a text is one part.

    Args:
        content: Its `content`.
        metadata: Its `metadata`, which describes the files.
    """
    content_type = as_text(content.get("content_type")) or "text"
    files = Files(metadata)
    parts = [*_said(content, content_type, files), *files.unmentioned()]
    parts += _custom_instructions(metadata)
    parts += citations(metadata)
    return parts


def _said(content: Mapping[str, Any], content_type: str, files: Files) -> Iterator[Part]:
    if content_type == "thoughts":
        yield from _thoughts(content)
        return
    if content_type == "computer_output":
        screenshot = as_object(content.get("screenshot"))
        if screenshot is not None:
            yield from files.named_by(screenshot)
        return
    if isinstance(content.get("parts"), list):
        for part in as_list(content.get("parts")):
            yield from _of_part(part, files)
    fields = _TEXT_FIELDS.get(content_type)
    if fields is not None:
        texts = [text for name in fields if (text := as_text(content.get(name)))]
        texts = texts[:1] if content_type in _FIRST_OF else texts
        text = "\n".join(texts)
        if text and content_type == "reasoning_recap":
            yield {"type": "reasoning", "text": text}
        elif text:
            yield {"type": "text", "text": text}
        if texts:
            return
    if content_type in _WITH_PARTS and isinstance(content.get("parts"), list):
        return
    yield from _unknown(content, content_type)


def _of_part(part: object, files: Files) -> Iterator[Part]:
    if isinstance(part, str):
        if part:
            yield {"type": "text", "text": part}
        return
    holder = as_object(part)
    if holder is None:
        return
    text = as_text(holder.get("text"))  # also a transcription of speech
    if text is not None:
        yield {"type": "text", "text": text}
        return
    found = list(files.named_by(holder))
    yield from found
    if not found and as_text(holder.get("content_type")) != "audio_transcription":
        yield _other(as_text(holder.get("content_type")) or "part", holder)


def _thoughts(content: Mapping[str, Any]) -> Iterator[Part]:
    for thought in as_list(content.get("thoughts")):
        holder = as_object(thought) or {}
        said = (as_text(holder.get("summary")), as_text(holder.get("content")))
        text = "\n".join(filter(None, said))
        if text:
            yield {"type": "reasoning", "text": text}


def _unknown(content: Mapping[str, Any], content_type: str) -> Iterator[Part]:
    """Yield the texts of a type that is not known, and what else it holds."""
    texts = [
        value
        for name, value in content.items()
        if isinstance(value, str) and value and name not in _NO_TEXT
    ]
    if texts:
        yield {"type": "text", "text": "\n".join(texts)}
    rest: dict[str, Any] = {
        name: value
        for name, value in content.items()
        if (as_object(value) or as_list(value)) and name != "parts"
    }
    if rest:
        yield _other(content_type, {"content_type": content_type, **rest})


def _custom_instructions(metadata: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the custom instructions of 2023, whose node has no text."""
    if metadata.get("is_user_system_message") is not True:
        return
    said = as_object(metadata.get("user_context_message_data")) or {}
    texts = [text for value in said.values() if (text := as_text(value))]
    if texts:
        yield {"type": "text", "text": "\n".join(texts)}


def citations(metadata: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the sources that a message cites, each address once."""
    seen = set[str]()
    for entry in (
        *as_list(metadata.get("citations")),
        *as_list(metadata.get("content_references")),
    ):
        for source in _sources(as_object(entry) or {}):
            url = as_text(source.get("url"))
            if url is None or url in seen or len(url) > MAX_POINTER:
                continue
            seen.add(url)
            title = as_text(source.get("title"))
            yield {"type": "citation", "url": url} | ({"title": title} if title else {})


def _sources(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what may hold the address of a source: the entry itself, or what is listed in it."""
    yield as_object(entry.get("metadata")) or {}
    yield entry
    for name in ("items", "fallback_items"):
        for item in as_list(entry.get(name)):
            yield as_object(item) or {}


def _other(name: str, value: Mapping[str, Any]) -> Part:
    return {"type": "other", "name": name, "data": json.dumps(value, ensure_ascii=True)}


def plain_text(parts: list[Part]) -> str | None:
    """Return the text of a message that is nothing but text; None when it is more."""
    if any(part["type"] != "text" for part in parts):
        return None
    return "\n".join(part["text"] for part in parts)
