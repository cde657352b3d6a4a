"""What the readers of chat programs share: records of a file, unique ids, the newest message."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from message_service.interchange.reading import sources
from message_service.interchange.reading.json_reading import array_items, as_text, object_items
from message_service.interchange.reading.part_making import json_text
from message_service.interchange.reading.records import ImportedMessage, RoleName

ROLES: dict[str, RoleName] = {role: role for role in get_args(RoleName)}
_WHITESPACE = b" \t\r\n"


def records_in(path: Path) -> Iterator[Any]:
    """Yield the items of a file that contains a JSON array, or the one object it contains.

    Raises:
        InvalidImport: The file is neither, or is damaged.
    """
    if opening(path) == b"[":
        yield from array_items(path)
    else:
        yield dict(object_items(path))


def opening(path: Path) -> bytes:
    """Return the first byte of a file that is not white space.

    Raises:
        InvalidImport: The file cannot be read.
    """
    for chunk in sources.chunks(path):
        found = chunk.lstrip(_WHITESPACE)
        if found:
            return found[:1]
    return b""


def stem(path: Path) -> str:
    """Return a file's name without its endings, such as `.jsonl.gz`; dots within it stay."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def newest(messages: Iterable[ImportedMessage]) -> str | None:
    """Return the id of the last message of a tree: the newest one without replies.

    Without dates it is the one that stands last.
    """
    listed = list(messages)
    answered = {message.parent for message in listed}
    ends = [message for message in listed if message.external_id not in answered] or listed
    dated = [(m.created_at, place) for place, m in enumerate(ends) if m.created_at is not None]
    if not ends:
        return None
    return ends[max(dated)[1] if dated else -1].external_id


def hidden_prompt(own: str, text: str) -> ImportedMessage:
    """Return a chat's system prompt, which its program does not show."""
    return ImportedMessage(
        external_id=own, role="system", text=text, message_type="system", status="hidden"
    )


class Ids:
    """Makes the ids of a conversation's records unique."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._contents: set[tuple[str, str]] = set()
        self._uses: Counter[str] = Counter()

    def take(self, given: object, fallback: str, record: Mapping[str, Any]) -> str | None:
        """Return the id of a record; None when it repeats an earlier record in every field.

        Args:
            given: Its id in the source.
            fallback: The id to use when the source has none.
            record: The record.
        """
        wanted = as_text(given) or fallback
        written = json_text(record).encode("utf-8", "surrogatepass")
        content = (wanted, hashlib.sha256(written).hexdigest())
        if content in self._contents:
            return None
        self._contents.add(content)
        own = wanted
        self._uses[wanted] += 1
        while own in self._taken:
            own = f"{wanted}#{self._uses[wanted]}"
            self._uses[wanted] += own in self._taken
        self._taken.add(own)
        return own
