"""Import and export of one tenant: the public interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from message_service import errors
from message_service.arguments import check_instance, check_sequence, check_text_argument
from message_service.database.scope import Scope
from message_service.ids import IdKind, check_id
from message_service.interchange import jsonl
from message_service.interchange.importer import Importer
from message_service.interchange.known_formats import FORMATS, read_as
from message_service.interchange.report import ImportReport
from message_service.interchange.restorer import Restorer
from message_service.messages.runtime import Runtime
from message_service.stopping import StopSignal

OWN_FORMAT = "jsonl"


def format_names() -> list[str]:
    """Return the names of the formats that can be imported, our own first."""
    return [OWN_FORMAT, *(known.name for known in FORMATS)]


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
        self._restorer = Restorer(scope, runtime.clock)

    async def import_files(
        self,
        name: str,
        paths: Sequence[Path],
        report: ImportReport,
        stop: StopSignal | None = None,
    ) -> AsyncIterator[int]:
        """Import files; yield the number of messages done in each step.

        Repeating an import, also one that was killed, stores only the missing messages. Memory is
        bounded by the largest conversation of the file (in our own format, by 2,000 messages).

        Args:
            name: The format; see `format_names`.
            paths: Files or folders; some formats have a default and need none.
            report: Filled in during the import; check `report.complete` afterwards. A damaged file
                does not raise but sets `report.error`, because the data before it is stored.
            stop: Asks to stop: the data read so far is stored, and `report.stopped` is set.

        Raises:
            InvalidInput: The format is unknown.
            Unavailable: The database was unavailable for longer than the write deadline.
        """
        check_text_argument("format", name, most=64)
        for path in check_sequence("paths", paths):
            check_instance("paths", path, Path)
        check_instance("report", report, ImportReport)
        asked = stop if stop is not None else StopSignal()
        if name == OWN_FORMAT:
            for path in paths:
                async for count in self._restorer.run(jsonl.read(path), report, asked):
                    yield count
            return
        for known in FORMATS:
            if known.name == name:
                async for count in self.importer.run(name, read_as(known, paths), report, asked):
                    yield count
                return
        raise errors.InvalidInput(
            "format", f"there is no format {name!r}", f"Use one of: {', '.join(format_names())}"
        )

    def export_lines(self, conversation_ids: Sequence[str] | None = None) -> AsyncIterator[str]:
        """Yield the lines of an export in our own format; see `jsonl.write`.

        Raises:
            InvalidId: An item of `conversation_ids` is not a conversation id.
        """
        if conversation_ids is not None:
            for conversation_id in check_sequence("conversation_ids", conversation_ids):
                check_id(IdKind.CONVERSATION, "conversation_ids", conversation_id)
        return jsonl.write(self._scope, conversation_ids)
