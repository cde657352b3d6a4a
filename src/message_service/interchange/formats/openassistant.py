"""Reads Open Assistant message trees: JSON Lines, one tree of nested replies per line.

Two shapes are in use: `*_tree` files wrap the root message in `prompt`; in `*_message` files the
line is the root message itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from message_service.interchange.reading import moments, sources, trees
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.json_reading import (
    as_list,
    as_number,
    as_object,
    as_text,
    json_lines,
)
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    RoleName,
    SkippedItem,
    present,
    safe_name,
    unreadable,
)

_ROLES: dict[str, RoleName] = {
    "prompter": "user",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_FILES = ("*tree*.jsonl", "*.jsonl")
"""A folder may have the same trees in both shapes; then only the tree files are read."""


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield one conversation for each tree; one line is in memory at a time.

    Args:
        paths: Files of either shape, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not a file of Open Assistant trees: line 1 holds no message with 'replies', nor do "
            "the lines after it",
            "Give a release's file of trees, not of single messages, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for number, line in json_lines(path):
        root = as_object(line.get("prompt")) or line
        identifier = _identifier(line, root, path, number)
        if "text" in root and isinstance(root.get("replies"), list):
            yield _conversation(line, root, identifier)
        else:
            yield unreadable(identifier, "line without a message and replies")


def _conversation(
    line: dict[str, Any], root: dict[str, Any], identifier: str
) -> ImportedConversation:
    conversation = ImportedConversation(
        external_id=identifier,
        created_at=moments.from_iso(root.get("created_date")),
        sender=as_text(root.get("user_id")),
        custom=present({"tree_state": as_text(line.get("tree_state"))}),
    )
    messages: list[ImportedMessage] = []
    dropped: dict[str, str | None] = {}
    seen: set[str] = set()
    # Parents come from the nesting, because `parent_id` is not present in both shapes.
    pending: list[tuple[dict[str, Any], str | None]] = [(root, as_text(root.get("parent_id")))]
    while pending:
        message, parent = pending.pop()
        own = as_text(message.get("message_id")) or f"{identifier}#{len(seen) + 1}"
        text = as_text(message.get("text"))
        if own in seen:
            conversation.skipped.append(SkippedItem(own, "same id as an earlier message"))
        elif text is None:
            dropped[own] = parent
            conversation.skipped.append(SkippedItem(own, "empty text"))
        else:
            messages.append(_message(message, own, parent, text))
        seen.add(own)
        pending.extend((reply, own) for reply in _worst_first(message, own, conversation.skipped))
    flat = trees.flatten(messages, dropped=dropped)
    conversation.messages, conversation.branches = flat.messages, flat.branches
    return conversation


def _identifier(line: Mapping[str, Any], root: Mapping[str, Any], path: Path, number: int) -> str:
    given = as_text(line.get("message_tree_id")) or as_text(root.get("message_id"))
    return given or f"{path.name}#{number}"


def _worst_first(
    message: Mapping[str, Any], own: str, skipped: list[SkippedItem]
) -> list[dict[str, Any]]:
    """Return the replies in the order for a stack: unranked first, best rank last."""
    replies: list[dict[str, Any]] = []
    for reply in as_list(message.get("replies")):
        found = as_object(reply)
        if found is None:
            skipped.append(SkippedItem(f"a reply to {own}", "not an object"))
        else:
            replies.append(found)
    replies.sort(key=_rank)
    return replies[::-1]


def _rank(message: Mapping[str, Any]) -> float:
    rank = as_number(message.get("rank"))
    return float("inf") if rank is None else rank


def _message(
    message: Mapping[str, Any], own: str, parent: str | None, text: str
) -> ImportedMessage:
    given_role = as_text(message.get("role"))
    role = _ROLES.get(given_role or "", "system")
    reviewed = message.get("review_result")
    return ImportedMessage(
        external_id=own,
        role=role,
        text=text,
        sender=as_text(message.get("user_id")),
        created_at=moments.from_iso(message.get("created_date")),
        parent=parent,
        message_type="system" if role == "system" else "standard",
        status="deleted" if message.get("deleted") is True else "active",
        llm_model=as_text(message.get("model_name")),
        custom=present(
            {
                "original_role": given_role if given_role not in _ROLES else None,
                "lang": as_text(message.get("lang")),
                "rank": as_number(message.get("rank")),
                "synthetic": message.get("synthetic") is True or None,
                "review_count": as_number(message.get("review_count")),
                "review_result": reviewed if isinstance(reviewed, bool) else None,
                "emojis": _counts(message.get("emojis")),
                "labels": _labels(message.get("labels")),
            }
        ),
    )


def _counts(value: object) -> dict[str, int | float]:
    counts = {safe_name(name): as_number(count) for name, count in (as_object(value) or {}).items()}
    return {name: count for name, count in counts.items() if count is not None}


def _labels(value: object) -> dict[str, dict[str, int | float]]:
    labels = {safe_name(name): _counts(label) for name, label in (as_object(value) or {}).items()}
    return {name: label for name, label in labels.items() if label}


OPENASSISTANT = Format(
    name="openassistant",
    title="Open Assistant message trees",
    reader=read,
    sign=lambda seen: seen.opening == "{" and seen.has("replies"),
    files=_FILES,
)
