"""`backup`: make, list, check and remove backups of the whole database."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.backup.full import SHARE
from message_service.backup.keys import new_key
from message_service.backup.making import BackedUp
from message_service.backup.manifest import FullManifest
from message_service.backup.pruning import KeepPolicy
from message_service.backup.recovery import moment_text
from message_service.cli import backup_schedule
from message_service.cli.backup_options import (
    KeyOption,
    ParallelOption,
    TargetOption,
    connected_backups,
    give_way,
    progress_bar,
)
from message_service.cli.context import (
    JsonOption,
    console,
    print_json,
    print_table,
)
from message_service.cli.numbers import number
from message_service.cli.running import run_once

app = typer.Typer(no_args_is_help=True)
app.add_typer(backup_schedule.app, name="schedule", help="When backups are made: show, set.")
app.command("follow")(backup_schedule.follow)

_MEGABYTE = 1_000_000


@app.command("run")
def run_command(
    ctx: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="The whole database.")] = False,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="What was written since the last backup.")
    ] = False,
    target: TargetOption = None,
    key_file: KeyOption = None,
    parallel: ParallelOption = 1,
    rate: Annotated[
        float | None, number(float, 0.001, 1_000_000, "Most MB of documents read per second.")
    ] = None,
    share: Annotated[
        float, number(float, 0.01, 1, "Share of the time that is read; the rest is for others.")
    ] = SHARE,
    as_json: JsonOption = False,
) -> None:
    """Make a backup while others write; without an option, of the kind that the schedule wants."""
    if full and incremental:
        raise errors.InvalidInput("full", "is given with --incremental", "Give one of them")
    speed = None if rate is None else rate * _MEGABYTE
    give_way()

    async def run() -> BackedUp:
        with progress_bar("connecting") as tell:
            async with connected_backups(ctx, target, key_file) as backups:
                if full:
                    made = await backups.full(
                        parallel=parallel, rate=speed, share=share, progress=tell
                    )
                    return BackedUp(None, made, None)
                make = backups.incremental if incremental else backups.run
                return await make(parallel=parallel, rate=speed, share=share, progress=tell)

    _show_made(run_once(run()), as_json=as_json)


def _show_made(done: BackedUp, *, as_json: bool) -> None:
    made, taken, reason = done.full, done.taken, done.reason
    if as_json:
        print_json(
            {
                "full": None if made is None else _full_json(made),
                "reason": reason,
                "segments": None if taken is None else len(taken.segments),
                "operations": None if taken is None else taken.operations,
                "bytes": None if taken is None else taken.bytes,
                "through": None if taken is None else str(taken.through),
            }
        )
        return
    if reason is not None:
        _say(f"{reason}" + (": a full backup was made" if made is not None else ""))
    if made is not None:
        _say(
            f"{made.id}: {made.documents:,} documents, {made.raw_bytes / 1e6:,.1f} MB stored in "
            f"{made.bytes / 1e6:,.1f} MB, as of {moment_text(made.taken_wall)}"
        )
        if not made.consistent:
            _say(
                "this server has no oplog: what was written during the backup is in it or not, "
                "and no moment after it can be restored"
            )
        for name in made.left_out:
            _say(f"left out: {name} (a time series)")
    if taken is not None:
        _say(
            f"{taken.operations:,} operations in {len(taken.segments)} segments, "
            f"{taken.bytes / 1e6:,.1f} MB, up to {taken.through}"
        )


@app.command("list")
def list_command(
    ctx: typer.Context,
    target: TargetOption = None,
    key_file: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the full backups, and how many segments of the history there are."""

    async def run() -> Any:
        async with connected_backups(ctx, target, key_file) as backups:
            return await backups.contents()

    found = run_once(run())
    if as_json:
        print_json(
            {
                "backups": [_full_json(each) for each in found.fulls],
                "segments": len(found.segments),
                "unfinished": found.unfinished,
                "damaged": [asdict(each) for each in found.damaged],
            }
        )
        return
    print_table(
        "Full backups",
        ("backup", "as of", "documents", "MB", "key"),
        [
            (
                each.id,
                moment_text(each.taken_wall),
                f"{each.documents:,}",
                f"{each.bytes / 1e6:,.1f}",
                "-" if each.key is None else each.key[:6],
            )
            for each in found.fulls
        ],
    )
    _say(f"{len(found.segments):,} segments of the history")
    for each in found.unfinished:
        _say(f"not completed, or being made: {each}")
    for each in found.damaged:
        _say(f"damaged: {each.reason}")


@app.command("show")
def show(
    ctx: typer.Context,
    backup: Annotated[str, typer.Argument(help="Name of a full backup.")],
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a full backup's manifest: collections, counts, versions, points, who made it."""

    async def run() -> Any:
        async with connected_backups(ctx, target, None) as backups:
            return await backups.contents()

    found = next((each for each in run_once(run()).fulls if each.id == backup), None)
    if found is None:
        raise errors.NotFound("backup", backup)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for name, value in _full_json(found).items():
        if name != "collections":
            _say(f"{name}: {value}")
    print_table(
        "Collections",
        ("collection", "documents", "MB", "files", "contents"),
        [
            (
                each.name,
                f"{each.documents:,}",
                f"{each.raw_bytes / 1e6:,.1f}",
                len(each.parts),
                each.content[:12],
            )
            for each in found.collections
        ],
    )


@app.command("verify")
def verify(
    ctx: typer.Context,
    backups: Annotated[
        list[str] | None, typer.Argument(help="Names of full backups; else all, and all segments.")
    ] = None,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore", help="Restore each full backup into a scratch database and compare it."
        ),
    ] = False,
    target: TargetOption = None,
    key_file: KeyOption = None,
    parallel: ParallelOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Read backups whole and check them; exit code 16 when one is damaged."""

    async def run() -> Any:
        with progress_bar("connecting") as tell:
            async with connected_backups(ctx, target, key_file) as connected:
                return await connected.verify(
                    backups or (), restore=restore, parallel=parallel, progress=tell
                )

    found = run_once(run())
    if as_json:
        print_json(asdict(found))
    else:
        _say(
            f"{len(found.backups)} full backups and {found.segments:,} segments read "
            f"({found.files:,} files, {found.bytes / 1e6:,.1f} MB), "
            f"{len(found.restored)} restored and compared"
        )
        for each in found.problems:
            _say(f"{each.where}: {each.reason}")
    if found.problems:
        raise errors.BackupDamaged(f"{len(found.problems)} problems: {found.problems[0].reason}")


@app.command("window")
def window(ctx: typer.Context, target: TargetOption = None, as_json: JsonOption = False) -> None:
    """Show from when until when any moment can be restored, and what each gap comes from."""

    async def run() -> Any:
        async with connected_backups(ctx, target, None) as backups:
            return await backups.window()

    found = run_once(run())
    if as_json:
        print_json(
            [
                {
                    "backup": each.backup,
                    "since": moment_text(each.since_wall),
                    "through": moment_text(each.through_wall),
                    "first_point": None if each.since is None else str(each.since),
                    "last_point": None if each.through is None else str(each.through),
                    "segments": each.segments,
                    "gap": each.gap,
                    "end": each.end,
                }
                for each in found
            ]
        )
        return
    print_table(
        "What can be restored",
        ("any moment from", "to", "begins with", "segments"),
        [
            (
                moment_text(each.since_wall),
                moment_text(each.through_wall),
                each.backup,
                f"{each.segments:,}",
            )
            for each in found
        ],
    )
    for each in found:
        if each.gap is not None:
            _say(f"gap before {moment_text(each.since_wall)}: {each.gap}")
        if each.end is not None:
            _say(f"does not go on at {moment_text(each.through_wall)}: {each.end}")


@app.command("prune")
def prune(
    ctx: typer.Context,
    days: Annotated[int, number(int, 1, 36_500, "Any moment of so many days stays.")] = 30,
    weeks: Annotated[int, number(int, 0, 5_200, "Older: one full backup a week stays.")] = 0,
    months: Annotated[int, number(int, 0, 1_200, "Older: one full backup a month stays.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell only.")] = False,
    target: TargetOption = None,
    key_file: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove backups that the policy no longer keeps, and what was not completed."""

    async def run() -> Any:
        async with connected_backups(ctx, target, key_file) as backups:
            return await backups.prune(KeepPolicy(days, weeks, months), dry_run=dry_run)

    found = run_once(run())
    if as_json:
        print_json(
            {
                "backups": [each.id for each in found.fulls],
                "segments": len(found.segments),
                "unfinished": list(found.unfinished),
                "kept": found.kept,
                "dry_run": dry_run,
            }
        )
        return
    would = "would be removed" if dry_run else "removed"
    for name in (*(each.id for each in found.fulls), *found.unfinished):
        _say(f"{would}: {name}")
    _say(f"{len(found.segments):,} segments {would}; {found.kept} full backups kept")


@app.command("keygen")
def keygen(
    path: Annotated[Path, typer.Argument(help="The new file.")],
) -> None:
    """Make a key that encrypts backups; nothing reads them without it, so keep it elsewhere too."""
    text = new_key()
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(text)
    except OSError as error:
        raise errors.InvalidInput(
            "path", f"cannot be made ({error.strerror})", "Give the name of a new file"
        ) from None
    _say(text.splitlines()[0].removeprefix("# "))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _full_json(full: FullManifest) -> dict[str, Any]:
    return {
        "id": full.id,
        "database": full.database,
        "as_of": moment_text(full.taken_wall),
        "point": None if full.taken_at is None else str(full.taken_at),
        "documents": full.documents,
        "raw_bytes": full.raw_bytes,
        "bytes": full.bytes,
        "points": full.points,
        "consistent": full.consistent,
        "key": full.key,
        "schema_version": full.schema_version,
        "server_version": full.server_version,
        "release": full.release,
        "started_at": full.started_at,
        "completed_at": full.completed_at,
        "by": full.by,
        "left_out": full.left_out,
        "collections": {each.name: each.documents for each in full.collections},
    }


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
