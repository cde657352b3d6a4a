"""Reads the chat histories that LangChain stores in MongoDB.

Python stores a document for each message, with the message as JSON text (`SessionId`, `History`);
JavaScript stores a document for each session, with a list `messages`. `conversations_of` accepts
both, from a collection or from a dump by mongoexport.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats.langchain_messages import (
    add_langchain_message,
    is_langchain_message,
)
from message_service.interchange.reading import moments, sources
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.drafts import as_json
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.json_records import records_of
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import ImportedConversation, unreadable

SESSION_KEY = "SessionId"
HISTORY_KEY = "History"

_FILES = ("*.jsonl", "*.json")
_JS_SESSION_KEY = "sessionId"
_OBJECT_ID = re.compile("[0-9a-fA-F]{24}")
_TIME_DIGITS = 8  # an ObjectId begins with the seconds since 1970, in four bytes
_NO_MESSAGE = "history without a message"


def read(
    paths: Sequence[Path], session_key: str = SESSION_KEY, history_key: str = HISTORY_KEY
) -> Iterator[ImportedConversation]:
    """Yield the conversations of dumps by mongoexport: JSON Lines, or JSON arrays.

    The documents of a session need not stand together: they wait in a temporary file.

    Args:
        paths: Files, plain or gzip, or folders with such files.
        session_key: The name of the session in documents with one message.
        history_key: The name of the message in such documents.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            f"is not a LangChain chat history: its first documents have neither {session_key!r} "
            f"and {history_key!r} nor a list 'messages' with 'type' and 'data'",
            "Give a dump of the history's collection, or name the file's own format",
        )
        documents = _by_session(path, session_key, history_key)
        yield from recognised(conversations_of(documents, session_key, history_key), refusal)


def conversations_of(
    documents: Iterable[Mapping[str, Any]],
    session_key: str = SESSION_KEY,
    history_key: str = HISTORY_KEY,
) -> Iterator[ImportedConversation]:
    """Yield the conversations of documents; one conversation is in memory at a time.

    Documents with the same session that follow one another are one conversation. So documents with
    one message each must be sorted by session, and within a session by `_id`. When a session comes
    again later, it is yielded again with the other messages, under the same id.

    Args:
        documents: The documents of a collection or a dump; they are not changed.
        session_key: The name of the session in documents with one message.
        history_key: The name of the message in such documents.
    """
    current: Assembly | None = None
    failure: errors.InvalidImport | None = None
    try:
        for number, document in enumerate(documents, start=1):
            session = _text_of(document.get(session_key))
            one = session is not None and history_key in document
            if current is not None and (not one or current.conversation.external_id != session):
                yield _closed(current)
                current = None
            if session is None or not one:
                yield _whole_session(document, number)
                continue
            if current is None:
                current = Assembly(ImportedConversation(external_id=session))
            _add_document(current, document, document[history_key])
    except errors.InvalidImport as error:  # a damaged dump: what precedes the damage is complete
        failure = error
    if current is not None:
        yield _closed(current)
    if failure is not None:
        raise failure


def _closed(assembly: Assembly) -> ImportedConversation:
    if not assembly.records:
        assembly.skip(assembly.conversation.external_id, _NO_MESSAGE)
    done = assembly.close()
    done.unreadable = not done.messages and all(s.reason == _NO_MESSAGE for s in done.skipped)
    if done.messages and done.created_at is None:
        done.created_at = done.messages[0].created_at
    return done


def _add_document(assembly: Assembly, document: Mapping[str, Any], history: object) -> None:
    position = str(assembly.records + 1)
    own = assembly.own_id(_text_of(document.get("_id")), position)
    if isinstance(history, str):
        try:
            history = json.loads(history)
        except (ValueError, RecursionError):
            history = None
    message = as_object(history)
    if message is None or not is_langchain_message(message):
        assembly.skip(own, _NO_MESSAGE)
    else:
        add_langchain_message(assembly, message, own, _moment_of(document.get("_id")))


def _whole_session(document: Mapping[str, Any], number: int) -> ImportedConversation:
    # An older version of the JavaScript library has no session key: `_id` is the session.
    session = _text_of(document.get(_JS_SESSION_KEY)) or _text_of(document.get("_id"))
    own = session or f"document#{number}"
    if not isinstance(document.get("messages"), list):
        return unreadable(own, "document without a session and messages")
    assembly = Assembly(ImportedConversation(external_id=own))
    assembly.conversation.created_at = _moment_of(document.get("_id"))
    for place, value in enumerate(as_list(document["messages"]), start=1):
        message = as_object(value)
        if message is None or not is_langchain_message(message):
            assembly.skip(assembly.own_id(None, str(place)), _NO_MESSAGE)
        else:
            own = assembly.own_id(message["data"].get("id"), str(place))
            add_langchain_message(assembly, message, own, None)
    return _closed(assembly)


def _text_of(value: object) -> str | None:
    """Return an id as text: a string, a number, an ObjectId, or its extended JSON."""
    if value is None or isinstance(value, (bool, list)):
        return None
    if isinstance(value, str):
        return value or None
    found = as_object(value)
    if found is None:
        return str(value)
    return as_text(found.get("$oid")) or as_text(found.get("$numberLong")) or as_json(found)


def _moment_of(value: object) -> datetime | None:
    """Return the time in an ObjectId; a plain text that looks like one has no time."""
    text = None if isinstance(value, (str, int, float)) else _text_of(value)
    if text is None or _OBJECT_ID.fullmatch(text) is None:
        return None
    return moments.from_unix(int(text[:_TIME_DIGITS], 16))


def _by_session(path: Path, session_key: str, history_key: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of a dump, those with one message at the end and sorted by session.

    When the file is damaged, the documents before the damage are yielded first.
    """
    places: dict[str, list[int]] = {}
    failure: errors.InvalidImport | None = None
    with tempfile.TemporaryFile() as spool:
        try:
            for _, item in records_of(path):
                document = as_object(item) or {}
                session = _text_of(document.get(session_key))
                if session is None or history_key not in document:
                    yield document
                    continue
                try:
                    line = json.dumps(document).encode("ascii") + b"\n"
                except RecursionError:  # reading it went just less deep
                    yield {"_id": document.get("_id")}
                    continue
                places.setdefault(session, []).append(spool.tell())
                spool.write(line)
        except errors.InvalidImport as error:
            failure = error
        for session in list(places):
            for place in places.pop(session):
                spool.seek(place)
                yield json.loads(spool.readline())
    if failure is not None:
        raise failure


def _sign(seen: Glimpse) -> bool:
    if seen.opening not in ("[", "{"):
        return False
    if seen.first is None:
        return seen.has(SESSION_KEY, HISTORY_KEY)
    if SESSION_KEY in seen.first and HISTORY_KEY in seen.first:
        return True
    return any(map(is_langchain_message, as_list(seen.first.get("messages"))))


LANGCHAIN = Format(
    name="langchain",
    title="LangChain chat history",
    reader=read,
    sign=_sign,
    files=_FILES,
)
