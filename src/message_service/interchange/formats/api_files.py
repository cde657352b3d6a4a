"""Reads files of API messages: one conversation, or one in each record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats import api_marks
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.json_records import records_of, stem
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import ImportedConversation, unreadable

Add = Callable[[Assembly, Any, str], None]
"""Adds a message that stands at a position to a conversation."""


@dataclass(slots=True, frozen=True)
class Api:
    """The shape of one API's files.

    Attributes:
        refusal: Returns the error for a file of another shape.
        is_record: Whether an object is a request, a response, or a log of both.
        fill: Adds the messages of such a record to its conversation.
        add: Adds one message.
        has_own_marks: Whether a record or message can only be this API's.
        has_others_marks: Whether it can only be the other API's.
    """

    refusal: Callable[[Path], errors.InvalidImport]
    is_record: Callable[[dict[str, Any]], bool]
    fill: Callable[[Assembly, dict[str, Any]], None]
    add: Add
    has_own_marks: Callable[[object], bool]
    has_others_marks: Callable[[object], bool]


def conversations(api: Api, path: Path) -> Iterator[ImportedConversation]:
    """Yield the conversations of a file.

    When the first records are messages, the file is one conversation and is in memory as a whole.
    Otherwise each record is a conversation: an object, or a list of messages.

    Raises:
        InvalidImport: The file is damaged or of another shape.
    """
    records = records_of(path)
    head: list[tuple[int, Any]] = []
    failure: errors.InvalidImport | None = None
    try:
        head.extend(itertools.islice(records, api_marks.LOOKED_AT))
    except errors.InvalidImport as error:
        failure = error
    first = [item for _, item in head]
    if any(map(api.has_others_marks, first)) and not any(map(api.has_own_marks, first)):
        raise api.refusal(path)
    every = itertools.chain(head, _rest(records, failure))
    if any(map(_is_loose, first)) and not any(_holds_messages(api, item) for item in first):
        yield from _single(api, every, f"{stem(path)}#1")
    else:
        found = (_conversation(api, item, f"{stem(path)}#{number}") for number, item in every)
        yield from recognised(found, api.refusal(path))


def add_list(add: Add, assembly: Assembly, messages: object, prefix: str = "") -> None:
    """Add the messages of a list; a message without an id has its position as its id."""
    for number, message in enumerate(as_list(messages), start=1):
        _add(add, assembly, message, f"{prefix}{number}")


def _rest(
    records: Iterator[tuple[int, Any]], failure: errors.InvalidImport | None
) -> Iterator[tuple[int, Any]]:
    if failure is not None:
        raise failure
    yield from records


def _is_loose(item: object) -> bool:
    """Whether a record is a message of the file's only conversation, not a response in a log."""
    return api_marks.is_message(item) and not api_marks.is_anthropic_response(as_object(item) or {})


def _holds_messages(api: Api, item: object) -> bool:
    """Whether a record is a conversation of its own, even in a list of messages."""
    record = as_object(item)
    if record is None:
        return bool(as_list(item))
    return not api_marks.is_message(record) and api.is_record(record)


def _single(
    api: Api, records: Iterator[tuple[int, Any]], own: str
) -> Iterator[ImportedConversation]:
    """Yield the only conversation of a file; when the file is damaged, what precedes the damage."""
    assembly = Assembly(ImportedConversation(external_id=own))
    failure: errors.InvalidImport | None = None
    number = 0
    try:
        for _, message in records:
            number += 1
            _add(api.add, assembly, message, str(number))
    except errors.InvalidImport as error:
        failure = error
    yield assembly.close()
    if failure is not None:
        raise failure


def _conversation(api: Api, item: object, position: str) -> ImportedConversation:
    record = as_object(item)
    if record is None:
        messages = as_list(item)
        if not any(map(api_marks.is_message, messages)):
            return unreadable(position, "record without messages")
        record = {"messages": messages}
    own = as_text(record.get("custom_id")) or as_text(record.get("id")) or position
    assembly = Assembly(ImportedConversation(external_id=own))
    if api.is_record(record):
        api.fill(assembly, record)
    elif api_marks.is_message(record):
        _add(api.add, assembly, record, "1")
    else:
        return unreadable(own, "record without messages")
    return assembly.close()


def _add(add: Add, assembly: Assembly, message: object, position: str) -> None:
    if api_marks.is_message(message):
        add(assembly, message, position)
    else:
        assembly.skip(assembly.own_id(None, position), "not a message")
