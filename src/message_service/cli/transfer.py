"""`import` and `export`."""

from __future__ import annotations

import json
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
from message_service.cli.running import run_loop
from message_service.interchange.report import ConversationReport, ImportReport
from message_service.interchange.transfer import format_names
from message_service.stopping import StopSignal


def import_command(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(format_names())}.")
    ],
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders.")] = None,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write one JSON line per conversation to this file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what an import would do.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import conversations. Safe to repeat, also after it was killed.

    Ctrl-C or SIGTERM stores what was read and stops; a second one ends at once.
    """
    ended = run_loop(
        lambda stop: run_import(ctx, name, paths or [], stop, report_file, dry_run=dry_run)
    )
    report = ended.result
    if as_json:
        print_json(report.as_json())
    else:
        if dry_run:
            console.print("dry run: nothing was written", markup=False)
        print_report(report)
    if report.stopped:
        ended.check("stopped before the end of the files; repeat the import to go on")
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
    with report_to(report_file, "report") as lines:

        def note(conversation: ConversationReport) -> None:
            if lines is not None:
                lines.write(json.dumps(conversation.as_json(), ensure_ascii=True) + "\n")

        report = ImportReport(sink=note)
        await _import(ctx, name, paths, stop, report, dry_run=dry_run)
    return report


async def _import(
    ctx: typer.Context,
    name: str,
    paths: list[Path],
    stop: StopSignal,
    report: ImportReport,
    *,
    dry_run: bool,
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
            bar = progress.add_task(f"import {name}", total=None, rate="")
            work = tenant.transfer.import_files(name, paths, report, stop, dry_run=dry_run)
            async for count in work:
                progress.advance(bar, count)
                task = progress.tasks[0]
                progress.update(bar, rate=f"{int(task.speed or 0):,}")


def check_complete(report: ImportReport) -> None:
    """Check that an import stored everything.

    Raises:
        ImportIncomplete: Something is missing; the message gives the reason.
    """
    if not report.complete:
        lost = sum(report.failed.values())
        problem = report.error or f"{lost} messages could not be stored (see --report FILE)"
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
    for reason, count in sorted(report.skipped.items()):
        console.print(f"  left out on purpose: {count:,} x {reason}", markup=False)
    for reason, count in sorted(report.failed.items()):
        console.print(f"  NOT STORED: {count:,} x {reason}", markup=False)


def export_command(
    ctx: typer.Context,
    output: Annotated[Path, typer.Argument(help="File to write; '-' for standard output.")],
    conversation: Annotated[
        list[str] | None, typer.Option(help="Only this conversation; may be repeated.")
    ] = None,
) -> None:
    """Export conversations as JSON lines, without loss; `import jsonl FILE` restores them.

    A file appears, or is replaced, only when it is complete; a FIFO or device is written to
    directly. Ctrl-C or SIGTERM stops the export and leaves no file; a second one ends at once.
    """

    async def run(stop: StopSignal) -> int | None:
        async with connected_tenant(ctx) as tenant:
            lines = tenant.transfer.export_lines(conversation)
            return await write_lines(lines, output, stop)

    ended = run_loop(run)
    if ended.result is None:
        ended.check("stopped before everything was written; run the export again")
    elif ended.result and str(output) != "-":
        progress_console.print(f"{ended.result:,} lines written to {output}", markup=False)
