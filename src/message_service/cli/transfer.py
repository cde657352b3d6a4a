"""`import` and `export`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    progress_console,
    target_of,
)
from message_service.cli.exporting import write_lines
from message_service.cli.output import report_to
from message_service.cli.running import Ended, run_loop
from message_service.interchange.formats.langchain import HISTORY_KEY, SESSION_KEY
from message_service.interchange.report import ConversationReport, ImportReport
from message_service.interchange.transfer import format_names
from message_service.service import Tenant
from message_service.stopping import StopSignal

ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="Write one JSON line per conversation to this file."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only count what an import would do.")
]
Begin = Callable[[Tenant, ImportReport, StopSignal], AsyncIterator[int]]
"""Begins an import into a tenant."""


def import_command(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(format_names())}.")
    ],
    paths: Annotated[list[Path] | None, typer.Argument(help="Files, folders, archives.")] = None,
    report_file: ReportOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import conversations. Safe to repeat, also after it was killed.

    Ctrl-C or SIGTERM stores what was read and stops; a second one ends at once.
    """
    ended = run_loop(
        lambda stop: run_import(ctx, name, paths or [], stop, report_file, dry_run=dry_run)
    )
    _conclude(ended, as_json=as_json, dry_run=dry_run)


def import_langchain_command(
    ctx: typer.Context,
    collection: Annotated[
        str, typer.Argument(metavar="DATABASE.COLLECTION", help="Where the histories are.")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="URI",
            envvar="MESSAGE_SERVICE_IMPORT_URI",
            help="Connection string of the server with the histories.",
        ),
    ],
    session_key: Annotated[str, typer.Option(help="Field with the session.")] = SESSION_KEY,
    history_key: Annotated[str, typer.Option(help="Field with the message.")] = HISTORY_KEY,
    report_file: ReportOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import LangChain's chat histories straight from MongoDB; the collection is only read."""

    def begin(tenant: Tenant, report: ImportReport, stop: StopSignal) -> AsyncIterator[int]:
        return tenant.transfer.import_langchain(
            source,
            collection,
            report,
            stop,
            session_key=session_key,
            history_key=history_key,
            dry_run=dry_run,
        )

    ended = run_loop(lambda stop: _reported(ctx, "langchain", begin, stop, report_file))
    _conclude(ended, as_json=as_json, dry_run=dry_run)


def _conclude(ended: Ended[ImportReport], *, as_json: bool, dry_run: bool) -> None:
    """Print the account of an import and check that it is complete."""
    report = ended.result
    if as_json:
        print_json(report.as_json())
    else:
        if dry_run:
            console.print("dry run: nothing was written", markup=False)
        print_report(report)
    if report.stopped:
        ended.check("stopped before the end of the source; repeat the import to go on")
    check_complete(report)


async def run_import(
    ctx: typer.Context,
    name: str,
    paths: list[Path],
    stop: StopSignal,
    report_file: Path | None = None,
    *,
    dry_run: bool = False,
) -> ImportReport:
    """Import with a progress bar on stderr; return the report.

    Raises:
        InvalidInput: There is no such format, or the report file cannot be opened: nothing is
            imported.
        OutputFailed: All was imported, but the report file could not be written.
    """
    if name not in format_names():
        raise errors.InvalidInput(
            "format", f"there is no format {name!r}", f"Use one of: {', '.join(format_names())}"
        )

    def begin(tenant: Tenant, report: ImportReport, stop: StopSignal) -> AsyncIterator[int]:
        return tenant.transfer.import_files(name, paths, report, stop, dry_run=dry_run)

    return await _reported(ctx, name, begin, stop, report_file)


async def _reported(
    ctx: typer.Context, title: str, begin: Begin, stop: StopSignal, report_file: Path | None
) -> ImportReport:
    with report_to(report_file, "report") as lines:

        def note(conversation: ConversationReport) -> None:
            if lines is not None:
                lines.write(json.dumps(conversation.as_json(), ensure_ascii=True) + "\n")

        report = ImportReport(sink=note)
        await _import(ctx, title, begin, stop, report)
    return report


async def _import(
    ctx: typer.Context, title: str, begin: Begin, stop: StopSignal, report: ImportReport
) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,} messages"),
        TextColumn("{task.fields[rate]} /s"),
        TimeElapsedColumn(),
    )
    async with connected_service(ctx) as service:
        tenant = service.tenant(target_of(ctx).tenant)
        with Progress(*columns, console=progress_console) as progress:
            bar = progress.add_task(f"import {title}", total=None, rate="")
            async for count in begin(tenant, report, stop):
                progress.advance(bar, count)
                task = progress.tasks[0]
                progress.update(bar, rate=f"{int(task.speed or 0):,}")


def check_complete(report: ImportReport) -> None:
    """Check that an import stored everything.

    Raises:
        ImportIncomplete: Something is missing; the message gives the reason.
    """
    if not report.complete:
        lost = f"{report.failed.total():,} messages and {report.files_failed.total():,} files"
        problem = report.error or f"{lost} could not be stored (see --report FILE)"
        raise errors.ImportIncomplete(f"the import is incomplete: {problem}")


def print_report(report: ImportReport) -> None:
    """Print the counts of an import."""
    for what in report.recognised:
        console.print(f"recognised {what}", markup=False)
    parts = (
        (report.stored, "stored"),
        (report.unchanged, "here already"),
        (report.updated, "updated"),
        (report.skipped.total(), "left out"),
        (report.failed.total(), "NOT STORED"),
    )
    console.print(
        f"{report.conversations:,} conversations ({report.new:,} new), {report.records:,} records: "
        + ", ".join(f"{count:,} {what}" for count, what in parts if count or what == "stored"),
        markup=False,
    )
    if report.repaired:
        console.print(f"{report.repaired:,} texts repaired (lone surrogates)", markup=False)
    if report.split:
        console.print(f"{report.split:,} texts stored in pieces (too long for one)", markup=False)
    if report.unlinked:
        console.print(
            f"{report.unlinked:,} messages whose parent is missing begin branches of their own",
            markup=False,
        )
    if report.files or report.files_missing:
        missing = f", {report.files_missing:,} not in the export" if report.files_missing else ""
        console.print(f"{report.files:,} files of attachments stored{missing}", markup=False)
    for reason, count in sorted(report.skipped.items()):
        console.print(f"  left out on purpose: {count:,} x {reason}", markup=False)
    for reason, count in sorted(report.failed.items()):
        console.print(f"  NOT STORED: {count:,} x {reason}", markup=False)
    for reason, count in sorted(report.files_failed.items()):
        console.print(f"  FILES NOT STORED: {count:,} x {reason}", markup=False)


def export_command(
    ctx: typer.Context,
    output: Annotated[Path, typer.Argument(help="File to write; '-' for standard output.")],
    conversation: Annotated[
        list[str] | None, typer.Option(help="Only this conversation; may be repeated.")
    ] = None,
    without_files: Annotated[
        bool, typer.Option("--without-files", help="Leave out the files of messages.")
    ] = False,
) -> None:
    """Export conversations as JSON lines, without loss; `import jsonl FILE` restores them.

    A file appears, or is replaced, only when it is complete; a FIFO or device is written to
    directly. Ctrl-C or SIGTERM stops the export and leaves no file; a second one ends at once.
    """

    async def run(stop: StopSignal) -> int | None:
        async with connected_tenant(ctx) as tenant:
            lines = tenant.transfer.export_lines(conversation, files=not without_files)
            return await write_lines(lines, output, stop)

    ended = run_loop(run)
    if ended.result is None:
        ended.check("stopped before everything was written; run the export again")
    elif ended.result and str(output) != "-":
        progress_console.print(f"{ended.result:,} lines written to {output}", markup=False)
