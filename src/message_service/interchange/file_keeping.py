"""Stores the files that come with an import: those inside messages, and those beside them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from message_service import errors
from message_service.attachments.attachments import Attachments
from message_service.attachments.gathering import Data
from message_service.attachments.pointers import provider_id
from message_service.documents.fields import MAX_NAME
from message_service.documents.parts import MAX_FILE_NAME
from message_service.interchange.reading import sources
from message_service.interchange.reading.format import AttachmentId
from message_service.interchange.reading.records import (
    ImportedConversation,
    PartWithFiles,
)
from message_service.interchange.report import ImportReport
from message_service.stopping import StopSignal

Opener = Callable[[], IO[bytes]]
"""Opens a file of an export."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a message says of a file that may lie beside it."""

    name: str | None
    mime_type: str | None


class FileKeeper:
    """Stores the files of an import, and counts them.

    Args:
        attachments: The tenant's attachments.
        report: The import's report.
        dry_run: Only count.
    """

    def __init__(self, attachments: Attachments, report: ImportReport, *, dry_run: bool) -> None:
        self._attachments = attachments
        self._report = report
        self._dry_run = dry_run

    async def keep_inside(self, conversation: ImportedConversation) -> None:
        """Store the files inside a conversation's messages, and forget them."""
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, PartWithFiles):
                    for file in part.files:
                        await self._keep(file.data, file.name, file.mime_type)
                    part.files = []

    async def keep_beside(
        self, paths: Sequence[Path], attachment_id: AttachmentId, wanted: Wanted, stop: StopSignal
    ) -> None:
        """Store the files beside the messages of an export to which its messages point.

        Args:
            paths: The folders, archives and files of the export.
            attachment_id: Finds the id of an attachment in the name of a file.
            wanted: The pointers of the messages.
            stop: Asks to stop after the current file.
        """
        left = dict(wanted.facts)
        beside = 0
        for name, opened in _members(paths):
            identifier = attachment_id(name)
            if identifier is None:
                continue
            beside += 1
            facts = left.pop(identifier, None)
            if facts is None:
                continue
            if stop.requested:
                self._report.stopped = True
                return
            try:
                with opened() as file:
                    kept_name = facts.name or name
                    await self._keep(file, kept_name, facts.mime_type, identifier)
            except _DAMAGE:
                self._report.files_failed["damaged"] += 1
        if beside:  # exports without any files are not missing some
            self._report.files_missing += len(left)

    async def _keep(
        self, data: Data, name: str | None, mime_type: str | None, *pointers: str
    ) -> None:
        if not self._dry_run:
            name = _sound(name, MAX_FILE_NAME)
            mime_type = _sound(mime_type, MAX_NAME)
            try:
                await self._attachments.put(data, name=name, mime_type=mime_type, pointers=pointers)
            except errors.InvalidInput as error:
                self._report.files_failed[error.problem] += 1
                return
        self._report.files += 1


class Wanted:
    """The providers' pointers in the conversations of an export.

    Attributes:
        facts: What the messages say of the files, by the provider's id.
    """

    def __init__(self) -> None:
        self.facts: dict[str, _Facts] = {}

    def noted(self, source: Iterable[ImportedConversation]) -> Iterator[ImportedConversation]:
        """Yield the conversations, and note their pointers."""
        for conversation in source:
            for message in conversation.messages:
                for part in message.parts:
                    if part["type"] == "attachment" and part.get("pointer"):
                        facts = _Facts(part.get("name"), part.get("mime_type"))
                        self.facts.setdefault(provider_id(part["pointer"]), facts)
            yield conversation


def _members(paths: Sequence[Path]) -> Iterator[tuple[str, Opener]]:
    """Yield the names of the files of an export, and how to open each."""
    for path in paths:
        if path.is_dir():
            yield from _files(sorted(path.rglob("*")))
            for archive in sorted(path.glob("*.zip")):
                yield from _of_archive(archive)
        elif sources.is_zip(path):
            yield from _of_archive(path)
        else:
            yield from _files(sorted(path.parent.glob("*")))


def _files(paths: Iterable[Path]) -> Iterator[tuple[str, Opener]]:
    for path in paths:
        if path.is_file():
            yield path.name, partial(path.open, "rb")


def _of_archive(path: Path) -> Iterator[tuple[str, Opener]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield PurePosixPath(member.filename).name, partial(archive.open, member)


def _sound(text: str | None, most: int) -> str | None:
    """Return a name as one that can be stored."""
    if not text:
        return None
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")[:most] or None
