"""`restore`: the database as it was at a point, beside the live one or in its place."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from message_service.backup.recovery import Plan
from message_service.backup.targets import LATEST
from message_service.cli.backup_options import (
    KeyOption,
    ParallelOption,
    TargetOption,
    connected_backups,
    moment,
    progress_bar,
)
from message_service.cli.context import JsonOption, console, print_json
from message_service.cli.running import run_once

_BYTES_PER_MINUTE = 60 * 30e6
_OPERATIONS_PER_MINUTE = 60 * 8e3


def restore(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="latest, a moment with its zone (2026-11-28T10:30:00Z), a point "
            "(SECONDS:INCREMENT), or the name of a full backup.",
        ),
    ] = LATEST,
    into: Annotated[
        str | None,
        typer.Option("--into", help="Database to restore into; else its name with _restore."),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option("--over", help="Its name again: what is in it is removed first."),
    ] = None,
    keep_expired: Annotated[
        bool,
        typer.Option("--keep-expired", help="Leave out indexes that delete documents by age."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    target: TargetOption = None,
    key_file: KeyOption = None,
    parallel: ParallelOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Restore the database as it was; an interrupted restore goes on when it is repeated."""
    name: dict[str, str] = {}

    async def run() -> Any:
        with progress_bar("connecting") as tell:
            async with connected_backups(ctx, target, key_file) as backups:
                plan = await backups.plan(to)
                name["database"] = into or backups.restore_name
                if not as_json:
                    _print_plan(plan, name["database"])
                if dry_run:
                    return plan, None
                return plan, await backups.restore(
                    to,
                    into=into,
                    over=over,
                    keep_expired=keep_expired,
                    parallel=parallel,
                    progress=tell,
                )

    plan, done = run_once(run())
    if as_json:
        print_json(
            {
                "backup": plan.full.id,
                "segments": len(plan.segments),
                "bytes": plan.bytes,
                "operations": plan.operations,
                "minutes": minutes(plan),
                "into": name["database"],
                "restored": None
                if done is None
                else {
                    "documents": done.documents,
                    "operations": done.operations,
                    "through": None if done.through is None else str(done.through),
                    "resumed": done.resumed,
                },
            }
        )
    elif done is not None:
        console.print(
            f"restored into {done.database}: {done.documents:,} documents loaded, "
            f"{done.operations:,} operations replayed" + (" (went on)" if done.resumed else ""),
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def minutes(plan: Plan) -> float:
    """Return about how long a restore takes, by what this project's machine did."""
    return round(
        plan.full.raw_bytes / _BYTES_PER_MINUTE + plan.operations / _OPERATIONS_PER_MINUTE, 1
    )


def _print_plan(plan: Plan, into: str) -> None:
    lines = [
        f"base {plan.full.id} as of {moment(plan.full.taken_wall)}: "
        f"{plan.full.documents:,} documents, {plan.full.raw_bytes / 1e6:,.1f} MB",
        f"then {len(plan.segments):,} segments with up to {plan.operations:,} operations",
        f"{plan.bytes / 1e6:,.1f} MB to read, about {minutes(plan):g} minutes, into {into}; "
        "indexes that delete by age are made last",
    ]
    lines += [f"passed over {each.id}: {each.reason}" for each in plan.passed_over]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
