"""Shared parts of `backup` and `restore`: options, connection, progress."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from message_service.backup.backups import Backups
from message_service.backup.full import BackupProgress
from message_service.cli.context import progress_console, target_of
from message_service.cli.numbers import number
from message_service.clock import SystemClock
from message_service.connection import connect
from message_service.documents.validation import checked
from message_service.settings import Settings

_NICENESS = 10

TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target", help="Where the backups are: a directory or an fsspec URL; else the setting's."
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key-file", help="File with the age key of the backups; else the setting's."),
]
ParallelOption = Annotated[int, number(int, 1, 64, "How many files are worked on at a time.")]


def give_way() -> None:
    """Let others go first on this machine: the server, above all, if it is on it."""
    with suppress(OSError):
        os.nice(_NICENESS)


@asynccontextmanager
async def connected_backups(
    ctx: typer.Context, target: str | None, key_file: Path | None
) -> AsyncGenerator[Backups]:
    """Connect to the database as it is, and to the place of its backups."""
    settings = target_of(ctx).settings
    # Compressing what goes over the wire costs the server more than it saves.
    given: dict[str, Any] = {"compressors": ""}
    if target is not None:
        given["backup_target"] = target
    if key_file is not None:
        given["backup_key_file"] = key_file
    settings = checked(Settings, {**settings.model_dump(), **given})
    connected = await connect(settings, standalone=True)
    try:
        yield Backups(connected.database, connected.server, settings, SystemClock(), os.urandom)
    finally:
        await connected.close()


@contextmanager
def progress_bar(what: str) -> Generator[Any]:
    """Show how far something is; give the function to tell it to."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=progress_console, transient=True, disable=not progress_console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=None)

        def tell(step: BackupProgress) -> None:
            bar.update(task, description=step.what, completed=step.done, total=step.total or None)

        yield tell
