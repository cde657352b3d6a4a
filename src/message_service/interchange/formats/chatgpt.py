"""Reads ChatGPT data exports: `conversations.json`, a list of conversations (trees of nodes).

Exports since 2023 are read: with `parent` or only `children`, with or without roles of tools, in
one file or in shards (`conversations-000.json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from message_service.interchange.formats.chatgpt_content import (
    CONTEXT,
    ERROR,
    REASONING,
    Part,
    parts_of,
    plain_text,
)
from message_service.interchange.formats.chatgpt_feedback import Feedback, feedback_beside
from message_service.interchange.formats.chatgpt_files import attachment_id
from message_service.interchange.reading import moments, sources, trees
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import (
    array_items,
    as_list,
    as_number,
    as_object,
    as_text,
)
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
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
_NOT_A_TOOL = (None, "all", "assistant", "user")
_PROJECT = "g-p-"
_NOWHERE = "\0"
"""The parent of nodes that nothing links; no node has this name."""


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of ChatGPT exports; one conversation is in memory at a time.

    Args:
        paths: `conversations.json` files or shards, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not a ChatGPT export.
    """
    for path in sources.expand(paths, *_FILES):
        found = _conversations(path, feedback_beside(path))
        if sources.contains(path, b'"mapping"'):
            yield from found
            continue
        refusal = sources.broken(
            path,
            "is not a ChatGPT export: no item of its list has a 'mapping'",
            "Give the conversations.json of the export, or name the file's own format",
        )
        yield from recognised((unreadable(one.external_id, "") for one in found), refusal)


def _conversations(path: Path, feedback: Feedback) -> Iterator[ImportedConversation]:
    for number, item in enumerate(array_items(path), start=1):
        record = as_object(item)
        if record is None:
            yield unreadable(f"{path.name}#{number}", "item that is not an object")
            continue
        identifier = _identifier(record, path, number)
        mapping = as_object(record.get("mapping"))
        if mapping:
            yield _conversation(record, mapping, identifier, feedback)
        else:
            # Folders and projects are entries of the list too; so are chats nothing was said in.
            yield ImportedConversation(
                external_id=identifier, skipped=[SkippedItem(identifier, "entry without nodes")]
            )


def _conversation(
    record: dict[str, Any], mapping: dict[str, Any], own: str, feedback: Feedback
) -> ImportedConversation:
    template = as_text(record.get("gizmo_id")) or as_text(record.get("conversation_template_id"))
    is_project = template is not None and template.startswith(_PROJECT)
    conversation = ImportedConversation(
        external_id=own,
        title=as_text(record.get("title")),
        created_at=_moment(record.get("create_time")),
        updated_at=_moment(record.get("update_time")),
        character=None if is_project else template,
        records=len(mapping),
        custom=present(
            {
                "updated_at": _moment(record.get("update_time")),
                "default_model": as_text(record.get("default_model_slug")),
                "is_archived": record.get("is_archived") is True or None,
                "is_starred": record.get("is_starred") is True or None,
                "project": template if is_project else None,
                "feedback": feedback.of_conversation(own, mapping),
            }
        ),
    )
    reading = _Reading(own, mapping, _model(record.get("default_model_slug")), feedback)
    messages, dropped = reading.nodes(conversation.skipped)
    shown = as_text(record.get("current_node"))
    if shown not in mapping:
        shown = _newest(messages)
    flat = trees.flatten(messages, dropped=dropped, shown=shown)
    conversation.messages, conversation.branches = flat.messages, flat.branches
    return conversation


def _identifier(record: dict[str, Any], path: Path, number: int) -> str:
    given = as_text(record.get("conversation_id")) or as_text(record.get("id"))
    return given or f"{path.name}#{number}"


def _newest(messages: list[ImportedMessage]) -> str | None:
    dated = [(m.created_at, m.external_id) for m in messages if m.created_at is not None]
    return max(dated)[1] if dated else None


class _Reading:
    """Reads the nodes of one conversation.

    Args:
        own: The conversation's id.
        mapping: Its nodes.
        model: The model of answers that name none.
        feedback: The reader's opinions.
    """

    def __init__(
        self, own: str, mapping: dict[str, Any], model: str | None, feedback: Feedback
    ) -> None:
        self._own = own
        self._nodes = {name: as_object(node) or {} for name, node in mapping.items()}
        self._parents, self._position = _links(self._nodes)
        self._model = model
        self._feedback = feedback
        self._calls: set[str] = set()

    def nodes(
        self, skipped: list[SkippedItem]
    ) -> tuple[list[ImportedMessage], dict[str, str | None]]:
        """Return the messages, siblings in their order, and the parents of the other nodes."""
        messages: list[ImportedMessage] = []
        dropped: dict[str, str | None] = {}
        last = len(self._nodes)
        in_order = sorted(self._nodes, key=lambda name: self._position.get(name, last))
        said = {name: as_object(self._nodes[name].get("message")) for name in in_order}
        self._calls = {name for name, message in said.items() if message and _is_call(message)}
        for name in in_order:
            message = said[name]
            read = None if message is None else self._message(name, message)
            if read is not None:
                messages.append(read)
                continue
            dropped[name] = self._parents.get(name)
            skipped.append(SkippedItem(name, _why_left_out(message)))
        return messages, dropped

    def _message(self, name: str, message: dict[str, Any]) -> ImportedMessage | None:
        content = as_object(message.get("content")) or {"parts": [message.get("content")]}
        content_type = as_text(content.get("content_type")) or "text"
        metadata = as_object(message.get("metadata")) or {}
        author = as_object(message.get("author")) or {}
        parts = parts_of(content, metadata)
        given_role = as_text(author.get("role"))
        role = _ROLES.get(given_role or "", "system")
        tool = as_text(author.get("name"))
        recipient = as_text(message.get("recipient"))
        call = self._answered(name) if role == "tool" else None
        if call is None and all(part["type"] == "citation" for part in parts):
            return None
        if name in self._calls:
            parts = _as_call(name, recipient or "tool", parts)
        elif call is not None:  # also an empty result: without one the call would be unanswered
            parts = _as_result(call, tool, parts, failed=_failed(content_type, metadata))
        text = plain_text(parts)
        status = as_text(message.get("status"))
        return ImportedMessage(
            external_id=name,
            role=role,
            text=text or "",
            parts=[] if text else parts,
            created_at=_moment(message.get("create_time")) or _moment(message.get("update_time")),
            parent=self._parents.get(name),
            message_type=_message_type(role, content_type),
            status="hidden" if _is_hidden(message, metadata, content_type) else "active",
            llm_provider=PROVIDER if role == "assistant" else None,
            llm_model=(
                _model(metadata.get("model_slug")) or self._model if role == "assistant" else None
            ),
            feedback=self._feedback.of_message(self._own, name),
            custom=present(
                {
                    "content_type": content_type if content_type != "text" else None,
                    "code_language": _code_language(content),
                    "original_role": given_role if given_role not in _ROLES else None,
                    "tool": tool if role == "tool" else None,
                    "recipient": recipient if recipient != "all" else None,
                    "source_title": as_text(content.get("title")),
                    "source_url": as_text(content.get("url")),
                    "source_status": status if status != "finished_successfully" else None,
                }
            ),
        )

    def _answered(self, name: str) -> str | None:
        """Return the call that a tool's message answers; several results follow one another."""
        seen = {name}
        at = self._parents.get(name)
        while at is not None and at in self._nodes and at not in seen:
            if at in self._calls:
                return at
            message = as_object(self._nodes[at].get("message")) or {}
            if (as_object(message.get("author")) or {}).get("role") != "tool":
                return None
            seen.add(at)
            at = self._parents.get(at)
        return None


def _links(nodes: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str | None], dict[str, int]]:
    """Return the parent of each node, and its place among its siblings.

    Some exports have only `parent`, some only `children`. Of the nodes that nothing links, the
    first one begins the conversation, as does every node whose parent is null; the others get a
    parent that does not exist, so that they count as orphans.
    """
    listed: dict[str, str] = {}
    position: dict[str, int] = {}
    for name, node in nodes.items():
        for index, child in enumerate(as_list(node.get("children"))):
            if isinstance(child, str):
                listed.setdefault(child, name)
                position.setdefault(child, index)
    parents: dict[str, str | None] = {}
    begun = any("parent" in node and node["parent"] is None for node in nodes.values())
    for name, node in nodes.items():
        given = as_text(node.get("parent"))
        if given is None or given not in nodes:
            given = listed.get(name, given)
        if given is None and "parent" not in node:
            given, begun = (_NOWHERE if begun else None), True
        parents[name] = given
    return parents, position


def _is_call(message: Mapping[str, Any]) -> bool:
    """Whether a message is addressed to a tool; prose that is said to a tool is not a call."""
    recipient = as_text(message.get("recipient"))
    author = as_object(message.get("author")) or {}
    if recipient in _NOT_A_TOOL or author.get("role") != "assistant":
        return False
    content = as_object(message.get("content")) or {}
    if content.get("content_type") == "code":
        return True
    parts = as_list(content.get("parts"))
    if len(parts) != 1 or not isinstance(parts[0], str):
        return False
    try:
        return isinstance(json.loads(parts[0]), dict)
    except (ValueError, RecursionError):
        return False


def _as_call(name: str, tool: str, parts: list[Part]) -> list[Part]:
    arguments = "\n".join(part["text"] for part in parts if part["type"] == "text")
    call = {"type": "tool_call", "id": name, "name": tool, "arguments": arguments}
    return [call, *(part for part in parts if part["type"] != "text")]


def _as_result(call: str, tool: str | None, parts: list[Part], *, failed: bool) -> list[Part]:
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    result: Part = {"type": "tool_result", "call_id": call, "text": text}
    if tool is not None:
        result["name"] = tool
    if failed:
        result["status"] = "error"
    return [result, *(part for part in parts if part["type"] != "text")]


def _failed(content_type: str, metadata: Mapping[str, Any]) -> bool:
    outcome = as_object(metadata.get("aggregate_result")) or {}
    status = as_text(outcome.get("status")) or ""
    return content_type == ERROR or status.startswith("failed")


def _is_hidden(message: Mapping[str, Any], metadata: Mapping[str, Any], content_type: str) -> bool:
    return (
        as_number(message.get("weight")) == 0
        or metadata.get("is_visually_hidden_from_conversation") is True
        or metadata.get("is_user_system_message") is True
        or content_type in REASONING
        or content_type in CONTEXT
    )


def _why_left_out(message: Mapping[str, Any] | None) -> str:
    if message is None:
        return "empty node"
    content = as_object(message.get("content")) or {}
    content_type = as_text(content.get("content_type")) or "text"
    return "empty node" if content_type == "text" else f"nothing in content type {content_type!r}"


def _moment(value: object) -> datetime | None:
    return moments.from_unix(value) or moments.from_iso(value)


def _model(value: object) -> str | None:
    """Return the name of a model; `auto` says that ChatGPT chose one, not which."""
    name = as_text(value)
    return None if name == "auto" else name


def _code_language(content: dict[str, Any]) -> str | None:
    language = as_text(content.get("language"))
    return language if language != "unknown" else None


def _message_type(role: RoleName, content_type: str) -> MessageTypeName:
    if content_type == ERROR:
        return "error"
    return "system" if role == "system" else "standard"


def _is_ours(seen: Glimpse) -> bool:
    if seen.opening != "[" or not seen.has("mapping"):
        return False
    # Tools' arguments in other exports may hold the name too.
    return seen.first is None or "mapping" in seen.first or not seen.has("chat_messages")


CHATGPT = Format(
    name="chatgpt",
    title="ChatGPT data export",
    reader=read,
    sign=_is_ours,
    files=_FILES,
    attachment_id=attachment_id,
)
