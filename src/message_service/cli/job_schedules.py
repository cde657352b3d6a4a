"""`jobs schedule`: periodic jobs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    print_table,
    target_of,
)
from message_service.cli.running import run_once
from message_service.cli.values import json_object
from message_service.documents.job_schedule import CatchUp, JobSchedule

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the schedule.")]


@app.command("set")
def set_schedule(
    ctx: typer.Context,
    name: NameArgument,
    cron: Annotated[str, typer.Argument(help='Minute hour day month weekday: "0 3 * * MON".')],
    job_type: Annotated[str, typer.Argument(help="Job type.", metavar="TYPE")],
    config: Annotated[str | None, typer.Argument(help="Parameters, a JSON object.")] = None,
    time_zone: Annotated[str, typer.Option(help="Such as Europe/Berlin.")] = "UTC",
    catch_up: Annotated[
        CatchUp, typer.Option(help="For times at which no worker ran.")
    ] = CatchUp.LATEST,
    queue: Annotated[str | None, typer.Option(help="Queue; by default that of the type.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal, high, urgent.")] = None,
    dedupe_key: Annotated[
        str | None, typer.Option(help="Pass over a time while the job of the last one lives.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also a type no running worker has a handler for.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Enqueue a job at each time of a cron expression; replaces the schedule of this name."""
    options = {"queue": queue, "priority": priority, "dedupe_key": dedupe_key}
    fields: dict[str, Any] = {key: value for key, value in options.items() if value is not None}

    async def run() -> JobSchedule:
        async with connected_service(ctx) as service:
            if force:
                service.declare_job_type(job_type)
            given = None if config is None else json_object("config", config)
            schedules = service.tenant(target_of(ctx).tenant).jobs.schedules
            return await schedules.set(
                name, cron, job_type, given, time_zone=time_zone, catch_up=catch_up, **fields
            )

    _print([run_once(run())], as_json=as_json)


@app.command("list")
def list_schedules(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the schedules."""

    async def run() -> list[JobSchedule]:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.schedules.list()

    _print(run_once(run()), as_json=as_json)


@app.command("pause")
def pause(ctx: typer.Context, name: NameArgument) -> None:
    """Enqueue nothing until resumed."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            await tenant.jobs.schedules.pause(name)

    run_once(run())
    console.print(f"{name} paused", markup=False, highlight=False)


@app.command("resume")
def resume(ctx: typer.Context, name: NameArgument) -> None:
    """Go on from the next time."""

    async def run() -> JobSchedule:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.schedules.resume(name)

    next_at = run_once(run()).next_at
    console.print(f"{name} goes on at {next_at}", markup=False, highlight=False)


@app.command("remove")
def remove(ctx: typer.Context, name: NameArgument) -> None:
    """Remove a schedule; jobs that are enqueued stay."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            await tenant.jobs.schedules.remove(name)

    run_once(run())
    console.print(f"{name} removed", markup=False, highlight=False)


def _print(schedules: list[JobSchedule], *, as_json: bool) -> None:
    if as_json:
        hidden = {"id", "revision_id"}
        print_json([each.model_dump(exclude_none=True, exclude=hidden) for each in schedules])
        return
    print_table(
        "Schedules",
        ("name", "cron", "zone", "type", "next", "last", "fired"),
        [
            (
                each.name,
                each.cron,
                each.time_zone,
                each.job["job_type"],
                "paused" if each.next_at is None else f"{each.next_at:%Y-%m-%d %H:%M:%S} UTC",
                None if each.last_at is None else f"{each.last_at:%Y-%m-%d %H:%M:%S} UTC",
                f"{each.fired:,}",
            )
            for each in schedules
        ],
    )
