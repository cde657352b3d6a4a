"""`import` and `export`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, TextIO

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
    as_json: JsonOption = False,
) -> None:
    """Import conversations; repeat it at will, also after it was killed.

    Ctrl-C or SIGTERM stores what was read and stops; a second one ends at once.
    """
    ended = run_loop(lambda stop: run_import(ctx, name, paths or [], stop, report_file))
    report = ended.result
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report)
    if report.stopped:
        ended.check("stopped before the end of the files; repeat the import to go on")
    if not report.complete:
        lost = sum(report.failed.values())
        problem = report.error or f"{lost} messages could not be stored (see --report FILE)"
        raise errors.ImportIncomplete(f"the import is incomplete: {problem}")


async def run_import(
    ctx: typer.Context,
    name: str,
    paths: list[Path],
    stop: StopSignal,
    report_file: Path | None = None,
) -> ImportReport:
    """Import with a progress bar on stderr; return the report."""
    lines = None if report_file is None else report_file.open("w", encoding="utf-8")

    def note(one: ConversationReport) -> None:
        if lines is not None:
            lines.write(json.dumps(one.as_json(), ensure_ascii=True) + "\n")

    report = ImportReport(sink=note)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,} messages"),
        TextColumn("{task.fields[rate]} /s"),
        TimeElapsedColumn(),
    )
    try:
        async with connected_service(ctx) as service:
            tenant = service.tenant(target_of(ctx).tenant)
            with Progress(*columns, console=progress_console) as progress:
                bar = progress.add_task(f"import {name}", total=None, rate="")
                async for count in tenant.transfer.import_files(name, paths, report, stop):
                    progress.advance(bar, count)
                    task = progress.tasks[0]
                    progress.update(bar, rate=f"{int(task.speed or 0):,}")
    finally:
        if lines is not None:
            lines.close()
    return report


def print_report(report: ImportReport) -> None:
    """Print an import's sums."""
    console.print(
        f"{report.conversations:,} conversations ({report.new:,} new): "
        f"{report.stored:,} messages stored, {report.unchanged:,} here already",
        markup=False,
    )
    if report.repaired:
        console.print(f"{report.repaired:,} texts repaired (lone surrogates)", markup=False)
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

    Ctrl-C or SIGTERM stops it, and no file is left; a second one ends at once.
    """

    async def run(stop: StopSignal) -> int | None:
        async with connected_tenant(ctx) as tenant:
            lines = tenant.transfer.export_lines(conversation)
            if str(output) == "-":
                return await _write_lines(lines, sys.stdout, stop)
            return await _write_file(lines, output, stop)

    ended = run_loop(run)
    if ended.result is None:
        ended.check("stopped before everything was written; run the export again")
    elif str(output) != "-":
        progress_console.print(f"{ended.result:,} lines written to {output}", markup=False)


async def _write_file(lines: AsyncIterator[str], output: Path, stop: StopSignal) -> int | None:
    """Write a file that has its name only when it is whole; None when stopped before that."""
    partial = output.with_name(output.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            written = await _write_lines(lines, file, stop)
            file.flush()
            os.fsync(file.fileno())
        if written is not None:
            partial.replace(output)
    except OSError as error:
        raise errors.InvalidInput(
            "output", f"cannot be written ({error.strerror})", "Choose another file"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return written


async def _write_lines(lines: AsyncIterator[str], file: TextIO, stop: StopSignal) -> int | None:
    """Write lines and return how many; None when stopped before the last."""
    count = 0
    async for line in lines:
        if stop.requested:
            return None
        file.write(line)
        count += 1
    return count
