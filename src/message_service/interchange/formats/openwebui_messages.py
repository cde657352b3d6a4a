"""Reads a message of an Open WebUI export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service.interchange.formats import openwebui_details
from message_service.interchange.reading import part_making
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.chat_records import ROLES
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.part_making import Part, plain, remainder
from message_service.interchange.reading.records import ImportedFeedback, ImportedMessage, present

_OF_MESSAGE = frozenset(
    {
        *("id", "parentId", "childrenIds", "role", "content", "timestamp", "model", "modelName"),
        *("modelIdx", "models", "files", "images", "done", "output", "sources", "citations"),
        *("code_executions", "error", "annotation", "merged", "usage", "info", "lastSentence"),
    }
)


def messages_of(record: Mapping[str, Any], own: str) -> list[ImportedMessage]:
    """Return the message of a record, and the answer that was merged from it and others, if any.

    Args:
        record: The record.
        own: Its id.
    """
    given_role = as_text(record.get("role"))
    role = ROLES.get(given_role or "", "system")
    by_model = role == "assistant"
    unknown: set[str] = set()
    parts = _parts(record, own, unknown, by_model=by_model)
    problem = _problem(record.get("error"))
    if problem is not None and not any(part["type"] == "text" for part in parts):
        parts.append(part_making.text_part(problem))
    rest, more = remainder(record, _OF_MESSAGE)
    text, parts = plain([*parts, *more])
    merged = as_text((as_object(record.get("merged")) or {}).get("content"))
    failed = part_making.full(record.get("error"))
    message = ImportedMessage(
        external_id=own,
        role=role,
        text=text,
        parts=parts,
        created_at=from_any(record.get("timestamp")),
        message_type="error" if failed else "system" if role == "system" else "standard",
        llm_model=as_text(record.get("model")) if by_model else None,
        feedback=_feedback(record.get("annotation")),
        custom=present(
            {
                "original_role": given_role if given_role not in ROLES else None,
                "model_name": as_text(record.get("modelName")) if by_model else None,
                "content_type": ", ".join(sorted(unknown)) or None,
                "error": problem,
                "unfinished": record.get("done") is False or None,
                "usage": _json(record.get("usage") or record.get("info")),
                "other_fields": rest,
            }
        ),
    )
    found = [message] if text or parts else []
    if merged is not None:
        found.append(
            ImportedMessage(
                external_id=f"{own}/merged",
                role="assistant",
                text=merged,
                created_at=message.created_at,
                custom={"merged": True},
            )
        )
    return found


def _json(value: object) -> str | None:
    return part_making.json_text(value) if part_making.full(value) else None


def _problem(value: object) -> str | None:
    given = as_object(value) or {}
    found = as_text(given.get("content")) or as_text(given.get("message")) or as_text(value)
    return found or _json(given)


def _feedback(value: object) -> ImportedFeedback | None:
    given = as_object(value) or {}
    number = as_number(given.get("rating"))
    if not number:
        return None
    details = as_number((as_object(given.get("details")) or {}).get("rating"))
    comment = as_text(given.get("comment"))
    if details is not None:
        comment = "\n".join(filter(None, (comment, f"{details}/10")))
    labels = (as_text(given.get("reason")), *map(as_text, as_list(given.get("tags"))))
    tags = tuple(dict.fromkeys(label for label in labels if label is not None))
    return ImportedFeedback("up" if number > 0 else "down", comment, tags)


def _parts(record: Mapping[str, Any], own: str, unknown: set[str], *, by_model: bool) -> list[Part]:
    parts: list[Part] = []
    for place, item in enumerate(as_list(record.get("output")), start=1):
        parts += _output(item, f"{own}/{place}", unknown)
    content = record.get("content")
    if any(part["type"] == "text" for part in parts):
        content = None  # only the rendering of `output`
    if isinstance(content, str) and content:
        if by_model:
            found = openwebui_details.parts_of(content, own)
            # With `output`, the blocks repeat what is there.
            parts += [part for part in found if not parts or part["type"] == "text"]
        else:
            parts.append(part_making.text_part(content))
    for item in as_list(content):
        parts += _piece(item, unknown)
    parts += _files(record)
    for item in [*as_list(record.get("sources")), *as_list(record.get("citations"))]:
        parts += _sources(item)
    parts += [
        part_making.other("code_execution", item) for item in as_list(record.get("code_executions"))
    ]
    return parts


def _piece(item: object, unknown: set[str]) -> list[Part]:
    piece = as_object(item)
    if piece is None:
        text = as_text(item)
        return [part_making.text_part(text)] if text is not None else []
    kind = as_text(piece.get("type")) or "unknown"
    if kind in ("image_url", "input_image"):
        url = piece.get("image_url")
        return [part_making.attachment((as_object(url) or {"url": url}).get("url"))]
    if kind in ("text", "output_text", "input_text"):
        text = as_text(piece.get("text"))
        return [part_making.text_part(text)] if text is not None else []
    if kind == "refusal" and as_text(piece.get("refusal")) is not None:
        return [{"type": "refusal", "text": piece["refusal"]}]
    unknown.add(kind)
    return part_making.unknown(kind, piece, {"type"})


def _output(item: object, place: str, unknown: set[str]) -> list[Part]:
    given = as_object(item)
    if given is None:
        return [part_making.other("unknown", item)] if item is not None else []
    kind = as_text(given.get("type")) or "unknown"
    call = as_text(given.get("call_id")) or as_text(given.get("id")) or place
    match kind:
        case "message":
            content = given.get("content")
            pieces = as_list(content) or [content]
            return [part for piece in pieces for part in _piece(piece, unknown)]
        case "reasoning":
            thought = _texts(given.get("content")) or _texts(given.get("summary"))
            found = part_making.reasoning(thought or None, None, given.get("encrypted_content"))
            return [found] if len(found) > 1 else []
        case "function_call":
            return [part_making.tool_call(call, given.get("name"), given.get("arguments"))]
        case "function_call_output":
            answer = given.get("output")
            text = answer if isinstance(answer, str) else _texts(answer)
            files = _files(given)
            others = [
                part
                for piece in as_list(answer)
                for part in _piece(piece, unknown)
                if part["type"] != "text"
            ]
            return [part_making.tool_result(call, text), *others, *files]
        case _:
            unknown.add(kind)
            return part_making.unknown(kind, given, {"type", "id", "status"})


def _texts(value: object) -> str:
    if isinstance(value, str):
        return value
    found = (as_text((as_object(item) or {"text": item}).get("text")) for item in as_list(value))
    return "\n".join(filter(None, found))


def _files(record: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    for item in [*as_list(record.get("files")), *as_list(record.get("images"))]:
        given = as_object(item) or {"url": item}
        inner = as_object(given.get("file")) or {}
        meta = as_object(inner.get("meta")) or as_object(given.get("meta")) or {}
        name = next(
            filter(
                None,
                (as_text(v) for v in (given.get("name"), inner.get("filename"), meta.get("name"))),
            ),
            None,
        )
        pointer = given.get("url") or given.get("id") or inner.get("id")
        kind = given.get("content_type") or meta.get("content_type")
        size = given.get("size") or meta.get("size")
        part = part_making.attachment(pointer, name=name, mime_type=kind, size=size)
        if given.get("type") == "image":
            part["kind"] = "image"
        parts.append(part)
        data = as_object(inner.get("data")) or as_object(given.get("data")) or {}
        extracted = as_text(data.get("content")) or as_text(given.get("content"))
        if extracted is not None:
            parts.append(part_making.text_part(extracted))
    return parts


def _sources(item: object) -> list[Part]:
    """Return the passages of a source; one that names nothing is kept as it is."""
    given = as_object(item) or {}
    source = as_object(given.get("source")) or {}
    title = (
        as_text(source.get("name")) or as_text(given.get("name")) or as_text(source.get("title"))
    )
    url = as_text(source.get("url")) or as_text(given.get("url"))
    passages = [text for text in as_list(given.get("document")) if isinstance(text, str)]
    if url is None:
        for meta in as_list(given.get("metadata")):
            named = as_text((as_object(meta) or {}).get("source")) or ""
            url = url or (named if named.startswith(("http://", "https://")) else None)
    found = part_making.citation(title, url, "\n".join(passages))
    return [found or part_making.other("source", item)]
