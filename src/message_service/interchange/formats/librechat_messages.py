"""Reads a message of a LibreChat export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service.interchange.reading import part_making
from message_service.interchange.reading.chat_moments import from_any, iso
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.part_making import Part, plain, remainder
from message_service.interchange.reading.records import (
    ImportedFeedback,
    ImportedMessage,
    RoleName,
    present,
)

_OF_MESSAGE = frozenset(
    {
        *("_id", "__v", "messageId", "conversationId", "parentMessageId", "createdAt", "children"),
        *("updatedAt", "sender", "text", "content", "isCreatedByUser", "model", "endpoint"),
        *("error", "unfinished", "tokenCount", "user", "finish_reason", "feedback", "files"),
        *("attachments", "summary", "plugin", "plugins", "depth", "siblingIndex", "iconURL"),
    }
)
_RATINGS = {"thumbsUp": "up", "thumbsDown": "down"}
_ASSISTANTS_TOOLS = ("code_interpreter", "retrieval", "file_search")
_OTHER_TEXTS = ("summary", "plugin", "plugins")


def messages_of(record: Mapping[str, Any], own: str, endpoint: str | None) -> list[ImportedMessage]:
    """Return the messages that a record holds, one after another; none if empty.

    It is one message, except where the user wrote while the model was answering: then the user's
    words are a message of their own between two pieces of the answer.

    Args:
        record: The record.
        own: Its id.
        endpoint: The provider of the conversation.
    """
    content = _Content(own)
    content.read(record)
    rest, more = remainder(record, _OF_MESSAGE)
    content.pieces[-1][2].extend(more)
    messages: list[ImportedMessage] = []
    for identifier, steering, parts in content.pieces:
        text, kept = plain(parts)
        if not text and not kept:
            continue
        message = _message(record, identifier, endpoint, by_user=steering)
        message.text, message.parts = text, kept
        if messages:
            message.custom["in_message"] = own
        messages.append(message)
    if messages:
        messages[0].custom |= present(
            {"content_type": ", ".join(sorted(content.unknown)) or None, "other_fields": rest}
        )
    return messages


def _message(
    record: Mapping[str, Any], own: str, endpoint: str | None, *, by_user: bool
) -> ImportedMessage:
    role = "user" if by_user else _role(record)
    by_model = role == "assistant"
    updated = iso(record.get("updatedAt"))
    sender = as_text(record.get("sender"))
    return ImportedMessage(
        external_id=own,
        role=role,
        text="",
        sender=as_text(record.get("user")) if role == "user" else None,
        created_at=from_any(record.get("createdAt")),
        message_type=(
            "error" if record.get("error") is True else "system" if role == "system" else "standard"
        ),
        llm_provider=(as_text(record.get("endpoint")) or endpoint) if by_model else None,
        llm_model=as_text(record.get("model")) if by_model else None,
        feedback=_feedback(record.get("feedback")),
        custom=present(
            {
                "name": None if by_user else sender,
                "updated_at": updated if updated != iso(record.get("createdAt")) else None,
                "unfinished": record.get("unfinished") is True or None,
                "finish_reason": as_text(record.get("finish_reason")),
                "token_count": as_number(record.get("tokenCount")),
            }
        ),
    )


def _role(record: Mapping[str, Any]) -> RoleName:
    given = record.get("isCreatedByUser")
    if not isinstance(given, bool):
        given = (as_text(record.get("sender")) or "").lower() == "user"
    return "user" if given else "assistant"


def _feedback(value: object) -> ImportedFeedback | None:
    given = as_object(value) or {}
    rating = _RATINGS.get(as_text(given.get("rating")) or "")
    if rating is None:
        return None
    tag = given.get("tag")
    tag = as_text((as_object(tag) or {}).get("key")) or as_text(tag)
    return ImportedFeedback(rating, as_text(given.get("text")), (tag,) if tag is not None else ())


class _Content:
    """The content of one record while it is read.

    Attributes:
        pieces: The messages it becomes: id, whether the user wrote it within the answer, parts.
        unknown: The types of parts that have no model here.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self.pieces: list[tuple[str, bool, list[Part]]] = [(own, False, [])]
        self.unknown: set[str] = set()

    def read(self, record: Mapping[str, Any]) -> None:
        """Read the content, else the text; then the files and other texts."""
        text = as_text(record.get("text"))
        for place, item in enumerate(as_list(record.get("content")), start=1):
            self._add(item, place)
        parts = self.pieces[-1][2]
        spoken = any(part["type"] == "text" for _, _, found in self.pieces for part in found)
        if text is not None and not spoken:
            parts.append(part_making.text_part(text))
        for item in [*as_list(record.get("files")), *as_list(record.get("attachments"))]:
            parts.append(self._file(item))
        for name in _OTHER_TEXTS:
            if part_making.full(record.get(name)):
                parts.append(part_making.other(name, record[name]))

    def _add(self, item: object, place: int) -> None:
        part = as_object(item)
        parts = self.pieces[-1][2]
        if part is None:
            text = as_text(item)
            if item is not None:
                parts.append(
                    part_making.text_part(text) if text else part_making.other("unknown", item)
                )
            return
        kind = as_text(part.get("type")) or "unknown"
        match kind:
            case "text" | "think" | "error":
                self._text(kind, part)
            case "steer":
                self._steer(part)
            case "tool_call":
                self._tool(as_object(part.get("tool_call")) or part, place)
            case "image_file":
                parts.append(self._file(part.get("image_file")))
            case "image_url":
                url = part.get("image_url")
                parts.append(part_making.attachment((as_object(url) or {"url": url}).get("url")))
            case _:
                self.unknown.add(kind)
                parts.extend(part_making.unknown(kind, part, {"type"}))

    def _text(self, kind: str, part: Mapping[str, Any]) -> None:
        parts = self.pieces[-1][2]
        given = part.get(kind)
        holder = as_object(given) or as_object(part.get("text")) or {}
        text = as_text(given) or as_text(holder.get("value")) or as_text(part.get("text"))
        if text is not None:
            parts.append(
                part_making.reasoning(text) if kind == "think" else part_making.text_part(text)
            )
        for note in as_list(holder.get("annotations")):
            cited = as_object(note) or {}
            details = as_object(cited.get("url_citation")) or as_object(cited.get("file_citation"))
            details = {**cited, **(details or {})}
            source = part_making.citation(
                details.get("title"), details.get("url"), details.get("quote")
            )
            parts.append(source or part_making.other("annotation", note))

    def _steer(self, part: Mapping[str, Any]) -> None:
        number = sum(steering for _, steering, _ in self.pieces) + 1
        given = part.get("steer")
        said = as_text(given) or as_text((as_object(given) or {}).get("text"))
        parts = [part_making.text_part(said)] if said is not None else []
        parts += [self._file(file) for file in as_list(part.get("files"))]
        rest = {name: part[name] for name in part if name not in ("type", "steer", "files")}
        if said is None:
            rest["steer"] = given
        if any(map(part_making.full, rest.values())):
            parts.append(part_making.other("steer", rest))
        self.pieces.append((f"{self._own}/steer-{number}", True, parts))
        self.pieces.append((f"{self._own}/after-{number}", False, []))

    def _tool(self, given: Mapping[str, Any], place: int) -> None:
        parts = self.pieces[-1][2]
        kind = as_text(given.get("type")) or ""
        function = as_object(given.get("function"))
        if kind in _ASSISTANTS_TOOLS and function is None:
            function = {"name": kind, **(as_object(given.get(kind)) or {})}
        inner: Mapping[str, Any] = {**given, **(function or {})}
        own = as_text(given.get("id")) or f"{self._own}/{place}"
        arguments = next(
            (inner[name] for name in ("args", "arguments", "input") if name in inner), None
        )
        parts.append(part_making.tool_call(own, inner.get("name") or kind, arguments))
        output = next((inner[name] for name in ("output", "outputs") if name in inner), None)
        if output is not None and (part_making.full(output) or inner.get("progress") == 1):
            text = output if isinstance(output, str) else part_making.json_text(output)
            parts.append(part_making.tool_result(own, text, name=inner.get("name")))

    def _file(self, item: object) -> Part:
        file = as_object(item)
        if file is None:
            return part_making.other("file", item)
        pointer = as_text(file.get("filepath")) or as_text(file.get("file_id"))
        name = as_text(file.get("filename"))
        if pointer is None and name is None:  # the results of a search, for example
            return part_making.other(file.get("type") or "file", file)
        size = file.get("bytes") or file.get("size")
        return part_making.attachment(pointer, name=name, mime_type=file.get("type"), size=size)
