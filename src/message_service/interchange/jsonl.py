"""Our own export format: the stored documents, one JSON object per line.

    {"kind": "header", "format": "message-service", "version": 1}
    {"kind": "conversation", "document": {...}}      followed by its own documents:
    {"kind": "branch", "document": {...}}
    {"kind": "message", "document": {...}}           in order of sequence number
    {"kind": "version", "document": {...}}
    {"kind": "file", "document": {...}}              a file of its messages, followed by its bytes:
    {"kind": "bytes", "document": {"n": 0, "data": {...}}}
    {"kind": "end", "conversations": 2, "messages": 310}

Documents are written as stored, but without `_id` and `tenant_id`, so that they can be restored
into any tenant. A file without the last line is truncated.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from message_service import errors
from message_service.attachments.attachments import Attachments
from message_service.catalogue.marks import unmarked
from message_service.catalogue.queries.conversations import (
    BRANCHES_OF_CONVERSATION,
    CONVERSATION_BY_ID,
    CONVERSATION_IDS,
)
from message_service.catalogue.queries.message_versions import CONVERSATION_VERSIONS
from message_service.catalogue.queries.messages import CONVERSATION_NUMBERS
from message_service.database.extended_json import from_line, to_line
from message_service.database.scope import Scope
from message_service.documents.parts import Attachment
from message_service.documents.row import Row
from message_service.interchange.bundled_files import (
    BundledFile,
    attachments_of,
    file_records,
)

FORMAT_VERSION = 1

NAME = "jsonl"
TITLE = "our own JSON lines"
FILES = ("*.jsonl",)
SIGN = re.compile(rb'"format": ?"message-service"')
"""Stands in the first line of every export."""


@dataclass(slots=True)
class Bundle:
    """A conversation with all its documents, or a part of a long conversation.

    Attributes:
        conversation: The document of the conversation.
        branches: Its branches.
        messages: At most `BUNDLE_MESSAGES` messages; a longer conversation has several bundles.
        versions: Earlier versions of messages.
        last: Whether this is the last bundle of the conversation.
    """

    conversation: Row
    branches: list[Row] = field(default_factory=list[Row])
    messages: list[Row] = field(default_factory=list[Row])
    versions: list[Row] = field(default_factory=list[Row])
    last: bool = True


BUNDLE_MESSAGES = 2_000


async def write(
    scope: Scope, conversation_ids: Sequence[str] | None, attachments: Attachments | None
) -> AsyncIterator[str]:
    """Yield the lines of an export, each with its line end.

    Args:
        scope: The tenant's scope.
        conversation_ids: Which conversations; None for all, latest activity first.
        attachments: The tenant's attachments; None leaves out the files of messages.

    Raises:
        NotFound: One of the conversations does not exist in this tenant.
        AttachmentDamaged: Bytes of a file are missing or changed.
    """
    written: set[str] = set()
    yield _line({"kind": "header", "format": "message-service", "version": FORMAT_VERSION})
    conversations = messages = 0
    async for conversation_id in _ids(scope, conversation_ids):
        conversation = await scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
        if conversation is None:
            if conversation_ids is None:
                continue
            raise errors.NotFound("conversation", conversation_id)
        conversations += 1
        files: list[Attachment] = []
        yield _document("conversation", conversation)
        for branch in await scope.find(BRANCHES_OF_CONVERSATION, conversation_id=conversation_id):
            yield _document("branch", branch)
        async for message in scope.stream(
            CONVERSATION_NUMBERS, whole=True, conversation_id=conversation_id
        ):
            messages += 1
            files += attachments_of(message)
            yield _document("message", _settled(message))
        async for version in scope.stream(CONVERSATION_VERSIONS, conversation_id=conversation_id):
            files += attachments_of(version)
            yield _document("version", version)
        if attachments is not None and files:
            async for kind, document in file_records(attachments, files, written):
                yield _line({"kind": kind, "document": document})
    yield _line({"kind": "end", "conversations": conversations, "messages": messages})


def read(path: Path) -> Iterator[Bundle | BundledFile]:
    """Yield the conversations of an export, and the files of their messages, in bounded memory.

    Raises:
        InvalidImport: The file is not such an export, is truncated, or has a damaged line; the
            message names the line. The conversations before it were yielded.
    """
    with ExitStack() as files:
        yield from _read(path, files)


def _read(path: Path, files: ExitStack) -> Iterator[Bundle | BundledFile]:
    bundle: Bundle | None = None
    file: BundledFile | None = None
    ended = False
    number = 0
    for number, line in _lines(path):
        if ended:
            raise _invalid(path, number, "continues after its end line")
        try:
            record = from_line(line)
        except errors.InvalidInput:
            raise _invalid(path, number, "is not JSON here") from None
        kind = record.get("kind")
        if number == 1:
            _check_header(path, record)
            continue
        if file is not None and kind != "bytes":
            yield file
            file = None
        if kind == "end":
            ended = True
            continue
        document = _document_of(record)
        if document is None:
            raise _invalid(path, number, "has no document here")
        if kind == "conversation":
            if bundle is not None:
                yield bundle
            bundle = Bundle(document)
            continue
        if bundle is None:
            raise _invalid(path, number, "has no conversation before this line")
        if kind == "bytes" and file is not None:
            if not file.add(document):
                raise _invalid(path, number, "has bytes of no file here")
            continue
        match kind:
            case "branch":
                bundle.branches.append(document)
            case "message":
                if len(bundle.messages) >= BUNDLE_MESSAGES:
                    bundle.last = False
                    yield bundle
                    bundle = Bundle(bundle.conversation)
                bundle.messages.append(document)
            case "version":
                bundle.versions.append(document)
            case "file":
                file = files.enter_context(closing(BundledFile(document)))
            case _:
                raise _invalid(path, number, f"has an unknown kind of line ({kind!r})")
    if number == 0:
        raise _invalid(path, 1, "is empty")
    if bundle is not None:
        yield bundle
    if not ended:
        raise _invalid(path, number, "is truncated: its end line is missing")


_OWN = frozenset({"enriched_at", "refused"})


def _settled(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out the state of this database's indexer: the target's indexer has its own state."""
    message = unmarked(message)
    enrichment: dict[str, Any] = message.get("enrichment") or {}
    kept = {name: value for name, value in enrichment.items() if name not in _OWN}
    rest = {name: value for name, value in message.items() if name != "enrichment"}
    return {**rest, "enrichment": kept} if kept else rest


async def _ids(scope: Scope, chosen: Sequence[str] | None) -> AsyncIterator[str]:
    if chosen is not None:
        for conversation_id in chosen:
            yield conversation_id
        return
    async for row in scope.stream(CONVERSATION_IDS, batch=1_000):
        yield row["conversation_id"]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield number, line.decode("utf-8")
                except UnicodeDecodeError:
                    raise _invalid(path, number, "is not UTF-8 here") from None
    except FileNotFoundError:
        raise errors.InvalidImport(
            "path", f"{path.name!r} does not exist", "Check the path"
        ) from None
    except (EOFError, gzip.BadGzipFile):
        raise errors.InvalidImport(
            "path", f"{path.name!r} is a damaged gzip file", "Copy it again"
        ) from None
    except OSError as error:
        raise errors.InvalidImport(
            "path", f"{path.name!r} cannot be read ({error.strerror})", "Check the path"
        ) from None


def _check_header(path: Path, record: Mapping[str, Any]) -> None:
    if record.get("kind") != "header" or record.get("format") != "message-service":
        raise _invalid(path, 1, "is not an export of this service")
    if record.get("version") != FORMAT_VERSION:
        raise _invalid(
            path, 1, f"has format version {record.get('version')!r}, not {FORMAT_VERSION}"
        )


def _document_of(record: Row) -> Row | None:
    document = record.get("document")
    return cast("Row", document) if isinstance(document, dict) else None


def _invalid(path: Path, number: int, problem: str) -> errors.InvalidImport:
    return errors.InvalidImport(
        "path",
        f"{path.name!r} line {number}: the file {problem}",
        "Use a file written by `message-service export`, complete and unchanged",
        line=number,
    )


def _document(kind: str, document: Row) -> str:
    kept = {name: value for name, value in document.items() if name not in ("_id", "tenant_id")}
    return _line({"kind": kind, "document": kept})


def _line(record: Row) -> str:
    return to_line(record) + "\n"
