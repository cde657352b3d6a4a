"""`db`: compare the database with the declared catalogue, bring it there, and watch it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_database,
    console,
    print_json,
    print_table,
    progress_console,
)
from message_service.cli.numbers import LONGEST_SECONDS, number
from message_service.cli.running import run_once
from message_service.clock import SystemClock
from message_service.loops.control import LoopControl
from message_service.schema import apply as apply_engine
from message_service.schema import conformance as conformance_engine
from message_service.schema import plan as plan_engine
from message_service.schema import sharding, status
from message_service.schema.changes import Change, ChangeKind, Plan
from message_service.service import LOOPS

LoopArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(LOOPS)}.")]

EXIT_DIFFERENT = errors.DriftFound.exit_code

_BATCH = 1_000_000

app = typer.Typer(no_args_is_help=True)

_HANDS = {
    "apply": "db apply",
    "drop_retired": "db apply --drop-retired",
    "drop_unknown": "db apply --drop-unknown",
    "shard": "db shard",
    "hand": "you",
}


@app.command("plan")
def plan(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show what differs from the declared catalogue, with risk and document counts."""
    found = run_once(_plan(ctx))
    if as_json:
        print_json(found.to_json())
    else:
        _show_plan(found)


@app.command("apply")
def apply(
    ctx: typer.Context,
    drop_retired: Annotated[
        bool, typer.Option("--drop-retired", help="Drop our indexes an earlier apply has hidden.")
    ] = False,
    drop_unknown: Annotated[
        bool, typer.Option("--drop-unknown", help="Drop indexes and views not created here.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option(
            "--promote/--no-promote",
            help="Put validators in force if every document conforms (reads them all).",
        ),
    ] = True,
    wait: Annotated[
        float, number(float, 0, LONGEST_SECONDS, "Seconds to wait for another apply.")
    ] = 3_600.0,
    as_json: JsonOption = False,
) -> None:
    """Bring the database to the declared catalogue; repeatable, one at a time."""

    async def run() -> apply_engine.ApplyReport:
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), console=progress_console,
            transient=True, disable=not progress_console.is_terminal,
        ) as progress:  # fmt: skip
            task = progress.add_task("waiting for the lease")
            async with connected_database(ctx) as database:
                return await apply_engine.apply(
                    database,
                    clock=SystemClock(),
                    drop_retired=drop_retired,
                    drop_unknown=drop_unknown,
                    promote=promote,
                    wait=wait,
                    progress=lambda line: progress.update(task, description=line),
                )

    report = run_once(run())
    if as_json:
        print_json(report.to_json())
        return
    if report.done:
        _show_changes("Done", report.done)
    else:
        console.print("Nothing to do.")
    if report.left:
        _show_changes("Left", report.left)


@app.command("drift")
def drift(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show what differs; exit code 5 if anything does, indexes made by hand included."""
    found = run_once(_plan(ctx))
    if as_json:
        print_json({"drift": not found.empty, **found.to_json()})
    else:
        _show_plan(found)
    if not found.empty:
        raise typer.Exit(EXIT_DIFFERENT)


@app.command("shard")
def shard(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Print the sharding commands and, on a mongos, carry them out."""

    async def run() -> sharding.ShardReport:
        async with connected_database(ctx) as database:
            return await sharding.shard(database)

    report = run_once(run())
    if as_json:
        print_json(report.to_json())
        return
    for line in report.shell:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if report.refusal is not None:
        console.print(report.refusal, markup=False, soft_wrap=True)
    for name in report.sharded:
        console.print(f"sharded: {name}", markup=False)
    for name in report.already:
        console.print(f"was sharded so already: {name}", markup=False)


@app.command("status")
def status_command(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show versions, who is applying, each collection's state, and the background loops."""

    async def run() -> status.Status:
        async with connected_database(ctx) as database:
            return await status.read_status(database, loops=LOOPS)

    found = run_once(run())
    if as_json:
        print_json(found.to_json())
        return
    console.print(
        f"database {found.database}: schema version {_or(found.stored_version, 'none')} "
        f"(declared {found.declared_version}), applied {_or(found.applied_at, 'never')}",
        markup=False,
        soft_wrap=True,
    )
    if found.applying is not None:
        console.print(f"an apply is at work: {found.applying}", markup=False, soft_wrap=True)
    print_table(
        "Collections",
        ("collection", "documents", "indexes", "declared", "validator", "shard key"),
        (
            (
                entry.name,
                f"{entry.documents:,}",
                entry.indexes,
                entry.declared_indexes,
                entry.validator,
                entry.shard_key,
            )
            for entry in found.collections
        ),
    )
    print_table(
        "Loops",
        ("loop", "state", "at work", "last worked", "done", "last failure"),
        (
            (
                entry.name,
                entry.state,
                _or(entry.holder, "-"),
                _or(entry.worked_at, "never"),
                ", ".join(f"{name} {count:,}" for name, count in entry.figures.items()) or "-",
                "-" if entry.failure is None else f"{entry.failure} at {entry.failed_at}",
            )
            for entry in found.loops
        ),
    )
    console.print(
        "no difference from the catalogue"
        if not found.differences
        else f"{found.differences} differences from the catalogue; see `db plan`"
    )


@app.command("pause")
def pause(ctx: typer.Context, loop: LoopArgument) -> None:
    """Have no process run a background loop until it is resumed."""
    run_once(_set_paused(ctx, loop, paused=True))
    console.print(f"{loop} is paused", markup=False)


@app.command("resume")
def resume(ctx: typer.Context, loop: LoopArgument) -> None:
    """Let a paused background loop run again."""
    run_once(_set_paused(ctx, loop, paused=False))
    console.print(f"{loop} may run", markup=False)


async def _set_paused(ctx: typer.Context, loop: str, *, paused: bool) -> None:
    async with connected_database(ctx) as database:
        control = LoopControl(database, LOOPS)
        await (control.pause(loop) if paused else control.resume(loop))


@app.command("conformance")
def conformance(
    ctx: typer.Context,
    samples: Annotated[
        int, number(int, 0, 100, "Offending documents to explain per collection.")
    ] = conformance_engine.DEFAULT_SAMPLES,
    batch: Annotated[
        int, number(int, 1, _BATCH, "Documents judged per command.")
    ] = conformance_engine.DEFAULT_BATCH,
    pause: Annotated[
        float, number(float, 0, LONGEST_SECONDS, "Seconds to rest between commands.")
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Check every stored document against the declared validators; exit code 5 if one fails."""

    async def run() -> conformance_engine.ConformanceReport:
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), console=progress_console,
            transient=True, disable=not progress_console.is_terminal,
        ) as progress:  # fmt: skip
            task = progress.add_task("judging")
            async with connected_database(ctx) as database:
                return await conformance_engine.conformance(
                    database,
                    samples=samples,
                    batch=batch,
                    pause=pause,
                    progress=lambda name, count: progress.update(
                        task, description=f"{name}: {count:,} documents"
                    ),
                )

    report = run_once(run())
    if as_json:
        print_json(report.to_json())
    else:
        print_table(
            "Conformance",
            ("collection", "documents", "do not conform"),
            (
                (entry.collection, f"{entry.documents:,}", f"{entry.violations:,}")
                for entry in report.collections
            ),
        )
        for entry in report.collections:
            for sample in entry.samples:
                console.print(
                    f"{entry.collection} {sample.id}: {'; '.join(sample.problems)}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
    if not report.conforming:
        raise typer.Exit(EXIT_DIFFERENT)


async def _plan(ctx: typer.Context) -> Plan:
    async with connected_database(ctx) as database:
        return await plan_engine.make_plan(database)


def _show_plan(found: Plan) -> None:
    if found.empty:
        console.print(f"The database is as declared (schema version {found.declared_version}).")
    else:
        _show_changes("Differences", found.changes)


def _show_changes(title: str, changes: Iterable[Change]) -> None:
    """Print a line for each change, and a second line with the reason where one is needed."""
    shown = list(changes)
    console.print(f"{title} ({len(shown)}):", markup=False)
    for change in shown:
        line = f"  {change.kind.value:<19} {_place(change)}"
        facts = [f"risk {change.risk}"] if change.risk != "none" else []
        if change.documents:
            facts.append(f"{change.documents:,} documents")
        if change.by != "apply":
            facts.append(f"by {_HANDS[change.by]}")
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        if facts:
            detail = f"      {', '.join(facts)}: {change.reason}"
            console.print(detail, markup=False, highlight=False, soft_wrap=True)


def _place(change: Change) -> str:
    if change.kind is ChangeKind.RECORD_VERSION or change.target != change.collection:
        return f"{change.collection}.{change.target}"
    return change.collection


def _or(value: object, otherwise: str) -> str:
    return otherwise if value is None else str(value)
