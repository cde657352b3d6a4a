"""Reads ChatGPT data exports: `conversations.json`, a list of conversations (trees of nodes)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from message_service.interchange import moments, sources, trees
from message_service.interchange.format import Format
from message_service.interchange.json_reading import (
    array_items,
    as_list,
    as_number,
    as_object,
    as_text,
)
from message_service.interchange.recognition import recognised
from message_service.interchange.records import (
    ImportedConversation,
    ImportedMessage,
    MessageTypeName,
    RoleName,
    SkippedItem,
    present,
    unreadable,
)

PROVIDER = "openai"

_ROLES: dict[str, RoleName] = {role: role for role in get_args(RoleName)}
_FILES = ("conversations*.json",)
_TEXT_FIELDS = ("text", "content", "result", "model_set_context", "summary", "snippet")
"""The text fields of content types that have neither `parts` nor `thoughts`."""


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of ChatGPT exports; one conversation is in memory at a time.

    Args:
        paths: `conversations.json` files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not a ChatGPT export.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not a ChatGPT export: item 1 of its list has no 'mapping', nor do the next items",
            "Give the conversations.json of the export, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for number, item in enumerate(array_items(path), start=1):
        record = as_object(item) or {}
        mapping = as_object(record.get("mapping"))
        identifier = _identifier(record, path, number)
        if mapping is None:
            yield unreadable(identifier, "conversation without nodes")
        else:
            yield _conversation(record, mapping, identifier)


def _conversation(
    record: dict[str, Any], mapping: dict[str, Any], own: str
) -> ImportedConversation:
    conversation = ImportedConversation(
        external_id=own,
        title=as_text(record.get("title")),
        created_at=moments.from_unix(record.get("create_time")),
        updated_at=moments.from_unix(record.get("update_time")),
        character=as_text(record.get("gizmo_id")),
        custom=present(
            {
                "updated_at": moments.from_unix(record.get("update_time")),
                "default_model": as_text(record.get("default_model_slug")),
                "is_archived": record.get("is_archived") is True or None,
                "is_starred": record.get("is_starred") is True or None,
            }
        ),
    )
    if not mapping:
        conversation.skipped.append(SkippedItem(own, "conversation without messages"))
    messages: list[ImportedMessage] = []
    dropped: dict[str, str | None] = {}
    for identifier in _in_sibling_order(mapping):
        node = as_object(mapping[identifier]) or {}
        parent = as_text(node.get("parent"))
        read = _message(identifier, parent, as_object(node.get("message")))
        if isinstance(read, ImportedMessage):
            messages.append(read)
        else:
            dropped[identifier] = parent
            conversation.skipped.append(read)
    shown = as_text(record.get("current_node"))
    if shown not in mapping:
        shown = _newest(messages)
    flat = trees.flatten(messages, dropped=dropped, shown=shown)
    conversation.messages, conversation.branches = flat.messages, flat.branches
    return conversation


def _identifier(record: dict[str, Any], path: Path, number: int) -> str:
    given = as_text(record.get("conversation_id")) or as_text(record.get("id"))
    return given or f"{path.name}#{number}"


def _in_sibling_order(mapping: dict[str, Any]) -> list[str]:
    """Return the node ids, with siblings in the order of their parent's `children`."""
    position: dict[str, int] = {
        child: index
        for node in mapping.values()
        for index, child in enumerate(as_list((as_object(node) or {}).get("children")))
        if isinstance(child, str)
    }
    return sorted(mapping, key=lambda identifier: position.get(identifier, len(mapping)))


def _newest(messages: list[ImportedMessage]) -> str | None:
    dated = [(m.created_at, m.external_id) for m in messages if m.created_at is not None]
    return max(dated)[1] if dated else None


def _message(
    identifier: str, parent: str | None, message: dict[str, Any] | None
) -> ImportedMessage | SkippedItem:
    if message is None:
        return SkippedItem(identifier, "empty node")
    content = as_object(message.get("content")) or {"parts": [message.get("content")]}
    content_type = as_text(content.get("content_type")) or "text"
    text, attachments = _text(content)
    if not text:
        return SkippedItem(identifier, _why_no_text(content_type, attachments))
    author = as_object(message.get("author")) or {}
    metadata = as_object(message.get("metadata")) or {}
    given_role = as_text(author.get("role"))
    role = _ROLES.get(given_role or "", "system")
    hidden = (
        as_number(message.get("weight")) == 0
        or metadata.get("is_visually_hidden_from_conversation") is True
    )
    recipient = as_text(message.get("recipient"))
    status = as_text(message.get("status"))
    return ImportedMessage(
        external_id=identifier,
        role=role,
        text=text,
        created_at=moments.from_unix(message.get("create_time")),
        parent=parent,
        message_type=_message_type(role, content_type),
        llm_provider=PROVIDER if role == "assistant" else None,
        llm_model=as_text(metadata.get("model_slug")) if role == "assistant" else None,
        custom=present(
            {
                "hidden": hidden or None,
                "content_type": content_type if content_type != "text" else None,
                "attachments": attachments,
                "code_language": _code_language(content),
                "original_role": given_role if given_role not in _ROLES else None,
                "tool": as_text(author.get("name")) if role == "tool" else None,
                "recipient": recipient if recipient != "all" else None,
                "source_title": as_text(content.get("title")),
                "source_url": as_text(content.get("url")),
                "source_status": status if status != "finished_successfully" else None,
            }
        ),
    )


def _text(content: dict[str, Any]) -> tuple[str, list[str]]:
    """Return all text of a message's content, and the types of its parts without text."""
    texts: list[str] = []
    attachments: list[str] = []
    for part in as_list(content.get("parts")):
        holder = as_object(part)
        if isinstance(part, str):
            texts.append(part)
        elif holder is not None:
            inner = as_text(holder.get("text"))  # a transcription of speech
            if inner is not None:
                texts.append(inner)
            else:
                attachments.append(as_text(holder.get("content_type")) or "unknown")
    for thought in as_list(content.get("thoughts")):
        holder = as_object(thought) or {}
        found = (as_text(holder.get("summary")), as_text(holder.get("content")))
        texts.extend(filter(None, found))
    instructions = (as_text(content.get("user_profile")), as_text(content.get("user_instructions")))
    texts.extend(filter(None, instructions))
    if not any(texts):
        fields = (as_text(content.get(name)) for name in _TEXT_FIELDS)
        texts = [next(filter(None, fields), "")]
    return "\n".join(texts), attachments


def _why_no_text(content_type: str, attachments: list[str]) -> str:
    if attachments:
        return f"no text, only attachments: {', '.join(attachments)}"
    return "empty node" if content_type == "text" else f"no text in content type {content_type!r}"


def _code_language(content: dict[str, Any]) -> str | None:
    language = as_text(content.get("language"))
    return language if language != "unknown" else None


def _message_type(role: RoleName, content_type: str) -> MessageTypeName:
    if content_type == "system_error":
        return "error"
    return "system" if role == "system" else "standard"


CHATGPT = Format(
    name="chatgpt",
    title="ChatGPT data export",
    reader=read,
    sign=lambda seen: seen.opening == "[" and seen.has("mapping"),
    files=_FILES,
)
