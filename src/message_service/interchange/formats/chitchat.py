"""Reads the Chit-Chat dataset: one JSON object of conversations by id, all between people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.reading import moments, sources
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.json_reading import (
    as_list,
    as_number,
    as_object,
    as_text,
    object_items,
)
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
    present,
    safe_name,
    unreadable,
)

INSTALLED = Path("package")
"""The path that means the data of the installed package `chitchat-dataset`."""

_FILES = ("dataset*.json",)
_SIGN = re.compile(rb'^\s*\{\s*"[^"]+":\s*\{.*"messages":\s*\[\s*\[', re.S)


def read(paths: Sequence[Path] = ()) -> Iterator[ImportedConversation]:
    """Yield the conversations; one conversation is in memory at a time.

    Args:
        paths: Files, plain or gzip, or folders with such files. `package`, or no path, means the
            installed package.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format, or the package is not
            installed.
    """
    named = [_installed() if path == INSTALLED and not path.exists() else path for path in paths]
    for path in sources.expand(named or [_installed()], *_FILES):
        refusal = sources.broken(
            path,
            "is not a Chit-Chat dataset: its first values hold no turns of messages",
            "Give the dataset.json of the package, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for identifier, value in object_items(path):
        record = as_object(value)
        if record is not None and _has_turns(record):
            yield _conversation(identifier, record)
        else:
            yield unreadable(identifier, "conversation without turns of messages")


def _installed() -> Path:
    # The package is not imported, because its code would load the whole file.
    spec = find_spec("chitchat_dataset")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        return Path(folder) / "dataset.json"
    raise errors.InvalidImport(
        "path",
        "the package chitchat-dataset is not installed",
        "Install it (pip install 'message-service[demo]'), or name a file",
    )


def _has_turns(record: dict[str, Any]) -> bool:
    turns = as_list(record.get("messages"))
    return isinstance(record.get("messages"), list) and all(isinstance(t, list) for t in turns)


def _conversation(identifier: str, record: dict[str, Any]) -> ImportedConversation:
    prompt = as_text(record.get("prompt"))
    ratings = as_object(record.get("ratings")) or {}
    conversation = ImportedConversation(
        external_id=identifier,
        title=prompt,
        created_at=moments.from_iso(record.get("start")),
        custom=present(
            {
                "prompt": prompt,
                "ratings": present(
                    {safe_name(name): as_number(value) for name, value in ratings.items()}
                ),
            }
        ),
    )
    index = 0
    for turn in as_list(record.get("messages")):
        for value in as_list(turn):
            own = f"{identifier}:{index}"
            index += 1
            message = as_object(value) or {}
            text = as_text(message.get("text"))
            sender = as_text(message.get("sender"))
            conversation.sender = conversation.sender or sender
            if text is None:
                reason = "empty text" if message.get("text") == "" else "no text"
                conversation.skipped.append(SkippedItem(own, reason))
                continue
            conversation.messages.append(
                ImportedMessage(
                    external_id=own,
                    role="user",
                    text=text,
                    sender=sender,
                    created_at=moments.from_iso(message.get("timestamp")),
                )
            )
    return conversation


CHITCHAT = Format(
    name="chitchat",
    title="Chit-Chat dataset",
    reader=read,
    sign=lambda seen: _SIGN.search(seen.start) is not None,
    files=_FILES,
)
