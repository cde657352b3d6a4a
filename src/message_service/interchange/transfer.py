"""Import and export of one tenant: the public interface."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_instance,
    check_sequence,
    check_text_argument,
)
from message_service.database.extended_json import to_line
from message_service.database.foreign import foreign_documents
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.ids import IdKind, check_id
from message_service.interchange import jsonl
from message_service.interchange.auto import recognised_files
from message_service.interchange.file_keeping import FileKeeper, Wanted
from message_service.interchange.formats import langchain
from message_service.interchange.formats.langchain import HISTORY_KEY, SESSION_KEY
from message_service.interchange.importer import Importer
from message_service.interchange.known_formats import FORMATS, read_as
from message_service.interchange.reading import sources
from message_service.interchange.reading.archives import unpacked
from message_service.interchange.reading.fitting import fitted
from message_service.interchange.report import ImportReport
from message_service.interchange.restorer import Restorer
from message_service.messages.runtime import Runtime
from message_service.stopping import StopSignal

_COLLECTION = re.compile(r'([^/\\. "$*<>:|?\0]{1,63})\.([^$\0]{1,192})')

AUTO = "auto"
"""Stands for the format that each path is recognised to have."""


def format_names() -> list[str]:
    """Return the names of the formats that can be imported: `auto`, our own, the others."""
    return [AUTO, jsonl.NAME, *(known.name for known in FORMATS)]


class Transfer:
    """Imports into and exports from one tenant.

    Args:
        runtime: The objects shared within the process.
        scope: The tenant's scope.

    Attributes:
        importer: Imports the conversations of any reader, also of readers not in `FORMATS`.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self.importer = Importer(runtime, scope)
        self._attachments = runtime.attachments(scope)
        self._restorer = Restorer(scope, runtime.clock, self._attachments)
        self._settings = runtime.settings

    async def import_files(
        self,
        name: str,
        paths: Sequence[Path],
        report: ImportReport,
        stop: StopSignal | None = None,
        *,
        dry_run: bool = False,
    ) -> AsyncIterator[int]:
        """Import files; yield the number of messages done in each step.

        Repeating an import, also one that was killed, stores only the missing messages. Memory is
        bounded by the largest conversation of the file (in our own format, by 2,000 messages).

        Args:
            name: The format; see `format_names`. `auto` recognises each path.
            paths: Files, folders or ZIP archives; some formats have a default and need none.
            report: Filled in during the import; check `report.complete` afterwards. A damaged file
                does not raise but sets `report.error`, because the data before it is stored.
            stop: Asks to stop: the data read so far is stored, and `report.stopped` is set.
            dry_run: Only fill in the report; nothing is written.

        Raises:
            InvalidInput: The format is unknown.
            Unavailable: The database was unavailable for longer than the write deadline.
        """
        check_text_argument("format", name, most=64)
        for path in check_sequence("paths", paths):
            check_instance("paths", path, Path)
        check_instance("report", report, ImportReport)
        check_flag("dry_run", dry_run)
        if name not in format_names():
            raise errors.InvalidInput(
                "format", f"there is no format {name!r}", f"Use one of: {', '.join(format_names())}"
            )
        asked = stop if stop is not None else StopSignal()
        try:
            if name != AUTO:
                async for count in self._import(name, paths, report, asked, paths, dry_run=dry_run):
                    yield count
                return
            with recognised_files(paths) as found:
                report.recognised = [str(each) for each in found]
                for each in found:
                    async for count in self._import(
                        each.name, each.paths, report, asked, paths, dry_run=dry_run
                    ):
                        yield count
        except errors.InvalidImport as error:
            report.error = error.message

    async def _import(
        self,
        name: str,
        paths: Sequence[Path],
        report: ImportReport,
        stop: StopSignal,
        given: Sequence[Path],
        *,
        dry_run: bool,
    ) -> AsyncIterator[int]:
        """Import files; `given` are the paths before archives were unpacked."""
        if name != jsonl.NAME:
            known = next(known for known in FORMATS if known.name == name)
            wanted = Wanted()
            read = read_as(known, paths)
            if known.attachment_id is not None:
                read = wanted.noted(read)
            async for count in self.importer.run(name, read, report, stop, dry_run=dry_run):
                yield count
            if known.attachment_id is not None and wanted.facts and not report.stopped:
                keeper = FileKeeper(self._attachments, report, dry_run=dry_run)
                await keeper.keep_beside(given, known.attachment_id, wanted, stop)
            return
        with unpacked(paths, jsonl.FILES) as files:
            for path in sources.expand(files, *jsonl.FILES):
                bundles = jsonl.read(path)
                async for count in self._restorer.run(bundles, report, stop, dry_run=dry_run):
                    yield count

    async def import_langchain(
        self,
        uri: str,
        collection: str,
        report: ImportReport,
        stop: StopSignal | None = None,
        *,
        session_key: str = SESSION_KEY,
        history_key: str = HISTORY_KEY,
        dry_run: bool = False,
    ) -> AsyncIterator[int]:
        """Import LangChain's chat histories straight from their collection; it is only read.

        Args:
            uri: Connection string of the server with the histories.
            collection: Their database and collection, `database.collection`.
            report: As for `import_files`.
            stop: As for `import_files`.
            session_key: The field with the session (`session_id_key` in LangChain).
            history_key: The field with the message.
            dry_run: As for `import_files`.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: One of the two servers cannot be reached.
        """
        check_text_argument("uri", uri, most=16_384, what="connection string")
        check_text_argument("collection", collection, most=256)
        check_text_argument("session_key", session_key, most=MAX_NAME)
        check_text_argument("history_key", history_key, most=MAX_NAME)
        check_instance("report", report, ImportReport)
        check_flag("dry_run", dry_run)
        named = _COLLECTION.fullmatch(collection)
        if named is None:
            raise errors.InvalidInput(
                "collection", "names no collection", "Use database.collection"
            )
        database, name = named.groups()
        asked = stop if stop is not None else StopSignal()
        with tempfile.TemporaryDirectory(prefix="import-") as folder:
            dump = Path(folder) / f"{name}.jsonl"
            with dump.open("w", encoding="utf-8") as lines:
                async for batch in foreign_documents(self._settings, uri, database, name):
                    lines.writelines(to_line(document) + "\n" for document in batch)
                    if asked.requested:
                        report.stopped = True
                        return
            try:
                conversations = map(fitted, langchain.read([dump], session_key, history_key))
                work = self.importer.run(
                    langchain.LANGCHAIN.name, conversations, report, asked, dry_run=dry_run
                )
                async for count in work:
                    yield count
            except errors.InvalidImport as error:
                report.error = error.message

    def export_lines(
        self, conversation_ids: Sequence[str] | None = None, *, files: bool = True
    ) -> AsyncIterator[str]:
        """Yield the lines of an export in our own format; see `jsonl.write`.

        Args:
            conversation_ids: Which conversations; None for all.
            files: Also the bytes of the files of messages, as far as they are stored.

        Raises:
            InvalidId: An item of `conversation_ids` is not a conversation id.
        """
        if conversation_ids is not None:
            for conversation_id in check_sequence("conversation_ids", conversation_ids):
                check_id(IdKind.CONVERSATION, "conversation_ids", conversation_id)
        check_flag("files", files)
        return jsonl.write(self._scope, conversation_ids, self._attachments if files else None)
