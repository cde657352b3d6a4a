"""`restore`: the database as it was at a point, beside the live one or in its place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.backup.putting_back import PutBack
from message_service.backup.recovery import RestorePlan, moment_text
from message_service.backup.restoring import Restored
from message_service.backup.targets import LATEST
from message_service.cli.backup_options import (
    KeyOption,
    ParallelOption,
    TargetOption,
    connected_backups,
    progress_bar,
)
from message_service.cli.context import JsonOption, console, print_json, target_of
from message_service.cli.running import run_once

_BYTES_PER_MINUTE = 60 * 30e6
_OPERATIONS_PER_MINUTE = 60 * 4.5e3


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
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", help="conversation:ID, user:ID or collection:NAME; may be repeated."
        ),
    ] = None,
    put_back: Annotated[
        bool,
        typer.Option("--put-back", help="Put what --only names back where it is missing."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --put-back: replace what is there as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    target: TargetOption = None,
    key_file: KeyOption = None,
    parallel: ParallelOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Restore the database as it was; an interrupted restore goes on when it is repeated."""
    if put_back and (into is not None or over is not None or not only):
        raise errors.InvalidInput(
            "put_back", "goes with --only, and without --into and --over", "Name what to put back"
        )
    if replace and not put_back:
        raise errors.InvalidInput("replace", "goes with --put-back", "Add it, or leave it out")
    tenant = target_of(ctx).tenant

    async def run() -> tuple[RestorePlan, str, Restored | PutBack | None]:
        with progress_bar("connecting") as tell:
            async with connected_backups(ctx, target, key_file) as backups:
                plan = await backups.plan(to)
                name = backups.database_name if put_back else into or backups.restore_name
                if not as_json:
                    _print_plan(plan, name)
                if dry_run:
                    return plan, name, None
                if put_back:
                    return plan, name, await backups.put_back(
                        only or (), to, tenant_id=tenant, replace=replace,
                        parallel=parallel, progress=tell,
                    )  # fmt: skip
                return plan, name, await backups.restore(
                    to, into=into, over=over, only=only or (), tenant_id=tenant,
                    keep_expired=keep_expired, parallel=parallel, progress=tell,
                )  # fmt: skip

    plan, name, done = run_once(run())
    if as_json:
        print_json(_json(plan, name, done))
    elif isinstance(done, Restored):
        _say(
            f"restored into {done.database}: {done.documents:,} documents read, "
            f"{done.operations:,} operations replayed" + (" (went on)" if done.resumed else "")
        )
    elif done is not None:
        for collection in done.added:
            _say(
                f"{collection}: {done.added[collection]:,} put back, "
                f"{done.replaced[collection]:,} replaced, {done.kept[collection]:,} left"
            )


def _json(plan: RestorePlan, name: str, done: Restored | PutBack | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "backup": plan.full.id,
        "segments": len(plan.segments),
        "bytes": plan.bytes,
        "operations": plan.operations,
        "minutes": minutes(plan),
        "into": name,
        "restored": None,
        "put_back": None,
    }
    if isinstance(done, PutBack):
        values["put_back"] = asdict(done)
    elif done is not None:
        values["restored"] = {
            "documents": done.documents,
            "operations": done.operations,
            "through": None if done.through is None else str(done.through),
            "resumed": done.resumed,
        }
    return values


def minutes(plan: RestorePlan) -> float:
    """Return about how long a restore takes, by what this project's machine did."""
    return round(
        plan.full.raw_bytes / _BYTES_PER_MINUTE + plan.operations / _OPERATIONS_PER_MINUTE, 1
    )


def _print_plan(plan: RestorePlan, into: str) -> None:
    lines = [
        f"base {plan.full.id} as of {moment_text(plan.full.taken_wall)}: "
        f"{plan.full.documents:,} documents, {plan.full.raw_bytes / 1e6:,.1f} MB",
        f"then {len(plan.segments):,} segments with up to {plan.operations:,} operations",
        f"{plan.bytes / 1e6:,.1f} MB to read, about {minutes(plan):g} minutes, into {into}; "
        "indexes that delete by age are made last",
    ]
    lines += [f"passed over {each.id}: {each.reason}" for each in plan.passed_over]
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
