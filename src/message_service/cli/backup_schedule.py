"""`backup schedule` and `backup follow`: backups by the clock, and of the history all the time."""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.backup.schedule import BackupSchedule
from message_service.cli.backup_options import (
    KeyOption,
    TargetOption,
    connected_backups,
    give_way,
)
from message_service.cli.context import (
    JsonOption,
    console,
    print_json,
    progress_console,
)
from message_service.cli.numbers import number
from message_service.cli.running import run_loop, run_once
from message_service.stopping import StopSignal

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show when backups are made, and how long they are kept."""

    async def run() -> BackupSchedule:
        async with connected_backups(ctx, None, None) as backups:
            return await backups.schedule()

    _print(run_once(run()), as_json=as_json)


@app.command("set")
def set_command(
    ctx: typer.Context,
    full: Annotated[
        str | None, typer.Option("--full", help="When full backups are made: a cron expression.")
    ] = None,
    incremental: Annotated[
        str | None, typer.Option("--incremental", help="When the history is added to: the same.")
    ] = None,
    follow: Annotated[
        float | None,
        number(float, 0, 86_400, "Seconds between looks at the history, all the time; 0 for none."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", help="Zone of the expressions (Europe/Berlin).")
    ] = None,
    days: Annotated[int | None, number(int, 1, 36_500, "Any moment of so many days stays.")] = None,
    weeks: Annotated[int | None, number(int, 0, 5_200, "Older: one full a week stays.")] = None,
    months: Annotated[int | None, number(int, 0, 1_200, "Older: one full a month stays.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change when workers make backups; what is not named stays as it is."""
    given = {
        "full": full,
        "incremental": incremental,
        "follow": follow,
        "time_zone": time_zone,
        "days": days,
        "weeks": weeks,
        "months": months,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    async def run() -> BackupSchedule:
        async with connected_backups(ctx, None, None) as backups:
            return await backups.set_schedule(**changes)

    _print(run_once(run()), as_json=as_json)


def follow(ctx: typer.Context, target: TargetOption = None, key_file: KeyOption = None) -> None:
    """Make the backups that the schedule wants until stopped; a worker does it too.

    One process does, others stand by. Ctrl-C or SIGTERM ends it.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("message_service").setLevel(logging.INFO)

    give_way()

    async def run(stop: StopSignal) -> bool:
        async with connected_backups(ctx, target, key_file) as backups:
            await backups.contents()  # a wrong place is told at once
            schedule = await backups.schedule()
            progress_console.print(
                f"backups in full at {schedule.full!r}, the history at {schedule.incremental!r}"
                + ("" if schedule.follow is None else f" and every {schedule.follow:g} s")
                + "; stop with Ctrl-C",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
            return await backups.follow(stop)

    if not run_loop(run).result:
        raise errors.Unavailable("stopped in the middle of a backup, which will be made anew")


def _print(schedule: BackupSchedule, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(schedule))
        return
    for line in (
        f"full: {schedule.full!r} ({schedule.time_zone})",
        f"incremental: {schedule.incremental!r} ({schedule.time_zone})",
        "follow: " + ("off" if schedule.follow is None else f"every {schedule.follow:g} s"),
        f"kept: any moment of {schedule.days} days, then one full backup of each of "
        f"{schedule.weeks} weeks and {schedule.months} months",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
