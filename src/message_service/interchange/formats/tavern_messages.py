"""Reads a line of a SillyTavern chat: a message with its alternatives (swipes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service.interchange.reading import part_making
from message_service.interchange.reading.chat_moments import from_any, iso
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.part_making import Part, plain, remainder
from message_service.interchange.reading.records import (
    ImportedMessage,
    RoleName,
    SkippedItem,
    StatusName,
    present,
)

_OF_LINE = frozenset(
    {
        *("name", "is_user", "is_system", "send_date", "mes", "extra", "swipe_id", "swipes"),
        *("swipe_info", "gen_started", "gen_finished", "is_name"),
    }
)
_OF_EXTRA = frozenset(
    {
        *("api", "model", "reasoning", "reasoning_signature", "tool_invocations", "type"),
        *("isSmallSys", "token_count", "files", "file", "media", "image", "image_swipes", "video"),
        *("display_text", "reasoning_display_text", "memory", "bias", "title"),
    }
)
_WRITTEN = ("display_text", "reasoning_display_text", "memory", "bias", "title")
"""Texts in `extra`: a translation, a summary of the chat so far, a description of a picture."""


def alternatives(
    line: Mapping[str, Any], position: str, skipped: list[SkippedItem]
) -> list[ImportedMessage]:
    """Return the messages of a line: the one that is shown first, then the other swipes.

    A line without swipes has the id of a line's first swipe, because a message gets swipes only
    when it is generated again.

    Args:
        line: The line.
        position: Its position among the messages of the chat.
        skipped: Where swipes that cannot be stored are listed.
    """
    shown = _shown(line)
    swipes = as_list(line.get("swipes"))
    chosen = _chosen(line, swipes, shown)
    own = f"{position}/swipe-{chosen}" if chosen is not None else f"{position}/shown"
    found: list[ImportedMessage] = []
    message = _message(line, own, shown)
    if message is not None:
        found.append(message)
    else:
        skipped.append(SkippedItem(own, "empty message"))
    for number, item in enumerate(swipes):
        swipe = _text_of(item)
        name = f"{position}/swipe-{number}"
        if swipe is None:
            skipped.append(SkippedItem(name, "swipe without a text"))
            continue
        if number == chosen:
            if swipe == shown:
                continue
            name += "/stored"  # the message was changed, the swipe was not
        alternative = _message(_as_line(line, number, keeps_extra=number == chosen), name, swipe)
        if alternative is not None:
            found.append(alternative)
    return found


def _shown(line: Mapping[str, Any]) -> str:
    return _text_of(line.get("mes")) or ""


def _text_of(value: object) -> str | None:
    """Return the text of a message or swipe; Chub's exports wrap it in an object."""
    holder = as_object(value)
    return as_text(value if holder is None else holder.get("message"))


def _chosen(line: Mapping[str, Any], swipes: list[Any], shown: str) -> int | None:
    """Return the number of the swipe that is shown; None when it is none of them."""
    if not swipes:
        return 0
    given = as_number(line.get("swipe_id"))
    if given is not None and 0 <= given < len(swipes):
        return int(given)
    return next((place for place, item in enumerate(swipes) if _text_of(item) == shown), None)


def _as_line(line: Mapping[str, Any], number: int, *, keeps_extra: bool) -> dict[str, Any]:
    """Return a swipe as a line; its date and facts are in `swipe_info`."""
    given = line.get("swipe_info")
    listed = as_list(given)
    info = as_object(given) or {}
    own = as_object(listed[number] if number < len(listed) else info.get(str(number))) or {}
    known = {name: line[name] for name in ("name", "is_user", "is_system") if name in line}
    extra = as_object(own.get("extra"))
    if extra is None and keeps_extra:
        extra = as_object(line.get("extra"))
    kind = (as_object(line.get("extra")) or {}).get("type")
    return {**own, **known, "extra": {"type": kind, **(extra or {})}}


def _message(line: Mapping[str, Any], own: str, text: str) -> ImportedMessage | None:
    extra = as_object(line.get("extra")) or {}
    parts, notes = _parts(extra, own, text)
    rest, more = remainder(line, _OF_LINE)
    extra_rest, more_extra = remainder(extra, _OF_EXTRA)
    text, parts = plain([*parts, *more, *more_extra])
    if not text and not parts:
        return None
    role = _role(line, extra)
    by_model = role == "assistant"
    name = as_text(line.get("name"))
    kind = as_text(extra.get("type"))
    return ImportedMessage(
        external_id=own,
        role=role,
        text=text,
        parts=parts,
        sender=name if role == "user" else None,
        created_at=from_any(line.get("send_date")),
        message_type="system" if role == "system" else "standard",
        status=_status(line, extra),
        llm_provider=as_text(extra.get("api")) if by_model else None,
        llm_model=as_text(extra.get("model")) if by_model else None,
        custom=present(
            {
                "name": name if role != "user" else None,
                "message_kind": kind,
                "token_count": as_number(extra.get("token_count")),
                "generation_started": iso(line.get("gen_started")),
                "generation_finished": iso(line.get("gen_finished")),
                "content_type": ", ".join(notes) or None,
                "extra": extra_rest,
                "other_fields": rest,
            }
        ),
    )


def _role(line: Mapping[str, Any], extra: Mapping[str, Any]) -> RoleName:
    """Return who wrote a line; `is_system` only means that the model does not see it."""
    if as_list(extra.get("tool_invocations")):
        return "assistant"
    hidden = line.get("is_system") is True
    notice = hidden and (as_text(extra.get("type")) or extra.get("isSmallSys") is True)
    if extra.get("type") == "narrator" or notice:
        return "system"
    return "user" if line.get("is_user") is True else "assistant"


def _status(line: Mapping[str, Any], extra: Mapping[str, Any]) -> StatusName:
    hidden = line.get("is_system") is True and not as_list(extra.get("tool_invocations"))
    return "hidden" if hidden else "active"


def _parts(extra: Mapping[str, Any], own: str, text: str) -> tuple[list[Part], list[str]]:
    """Return the parts of a message, and the names of those that have no model here."""
    parts: list[Part] = []
    thought = as_text(extra.get("reasoning"))
    signature = as_text(extra.get("reasoning_signature"))
    if thought or signature:
        parts.append(part_making.reasoning(thought, signature))
    calls = _calls(extra, own)
    parts += calls
    if text and not calls:  # the text of a line with calls is only their rendering
        parts.append(part_making.text_part(text))
    parts += _files(extra)
    written = [name for name in _WRITTEN if part_making.full(extra.get(name))]
    parts += [part_making.other(name, extra[name]) for name in written]
    return parts, written


def _calls(extra: Mapping[str, Any], own: str) -> list[Part]:
    parts: list[Part] = []
    for number, item in enumerate(as_list(extra.get("tool_invocations")), start=1):
        call = as_object(item)
        if call is None:
            parts.append(part_making.other("tool_invocation", item))
            continue
        identifier = as_text(call.get("id")) or f"{own}/{number}"
        name = as_text(call.get("name")) or as_text(call.get("displayName"))
        parts.append(part_making.tool_call(identifier, name, call.get("parameters")))
        result = call.get("result")
        if result is not None:
            answer = result if isinstance(result, str) else part_making.json_text(result)
            parts.append(part_making.tool_result(identifier, answer, name=name))
    return parts


def _files(extra: Mapping[str, Any]) -> list[Part]:
    given = [*as_list(extra.get("files")), extra.get("file"), *as_list(extra.get("media"))]
    given += [extra.get("image"), *as_list(extra.get("image_swipes")), extra.get("video")]
    parts: list[Part] = []
    seen: set[str] = set()
    for item in given:
        file = as_object(item) or {"url": item}
        pointer = as_text(file.get("url"))
        if pointer in seen or not any(map(part_making.full, file.values())):
            continue
        seen |= {pointer} if pointer is not None else set()
        name = as_text(file.get("name")) or _last_step(pointer)
        parts.append(part_making.attachment(pointer, name=name, size=file.get("size")))
        kept = [as_text(file.get(field)) for field in ("title", "text")]
        parts += [part_making.text_part(found) for found in kept if found is not None]
    return parts


def _last_step(pointer: str | None) -> str | None:
    if pointer is None or pointer.startswith("data:"):
        return None
    return pointer.replace("\\", "/").rpartition("/")[2]
