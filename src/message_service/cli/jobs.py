"""`jobs`: list, show, enqueue, retry, cancel, replay, purge, count and watch jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from message_service.cli import job_schedules
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    progress_console,
    target_of,
)
from message_service.cli.numbers import MOST, number
from message_service.cli.running import run_loop, run_once
from message_service.cli.values import json_object, moment
from message_service.clock import SystemClock
from message_service.documents.job import Job, JobStatus
from message_service.queue.clearing import Purged, Replayed
from message_service.queue.listing import JobCount
from message_service.queue.new_job import MOST_ATTEMPTS
from message_service.queue.workers import WorkerStatus
from message_service.service import MessageService
from message_service.stopping import StopSignal

app = typer.Typer(no_args_is_help=True)
app.add_typer(job_schedules.app, name="schedule", help="Periodic jobs: set, list, pause, remove.")

JobArgument = Annotated[str, typer.Argument(help="Job id.", metavar="JOB")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only this job type.")]
QueueOption = Annotated[str | None, typer.Option(help="Only this queue.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only with this reason, say timeout.")]
AGE = number(float, 0, MOST, "Only enqueued so many seconds ago or earlier.")
_UNFINISHED = "stopped with work left; run it again to go on"


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    state: Annotated[
        list[JobStatus] | None, typer.Option(help="Only in this state; may be repeated.")
    ] = None,
    job_type: TypeOption = None,
    queue: QueueOption = None,
    reason: ReasonOption = None,
    older_than: Annotated[float | None, AGE] = None,
    limit: Annotated[int, number(int, 1, 1_000, "Most jobs.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""

    async def run() -> Any:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.list(
                states=state or (),
                job_type=job_type,
                queue=queue,
                reason=reason,
                older_than=older_than,
                limit=limit,
                cursor=cursor,
            )

    page = run_once(run())
    if as_json:
        print_json({"items": [plain(job) for job in page], "next": page.next})
        return
    table = Table(title="Jobs", title_justify="left")
    table.add_column("job", no_wrap=True)
    for name in ("type", "state", "attempts", "created", "reason"):
        table.add_column(name, overflow="fold")
    for job in page:
        attempts = f"{job.execution.attempts}/{job.execution.max_attempts}"
        created = f"{job.created_at:%m-%d %H:%M:%S}"
        reason = job.execution.reason or ""
        table.add_row(job.job_id, job.job_type, job.status.value, attempts, created, reason)
    console.print(table, markup=False)
    if page.next is not None:
        console.print(f"more: --cursor {page.next}", markup=False, soft_wrap=True)


@app.command("show")
def show(ctx: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Show a job, and why it is not running or how it ended."""

    async def run() -> Any:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.explain(job)

    found = run_once(run())
    if as_json:
        reasons = [asdict(each) for each in found.because]
        print_json({**plain(found.job), "because": reasons})
        return
    for each in found.because:
        console.print(each.text, style="bold", markup=False, soft_wrap=True)
    console.print_json(json.dumps(plain(found.job), default=str))


@app.command("enqueue")
def enqueue(
    ctx: typer.Context,
    job_type: Annotated[str, typer.Argument(help="Job type.", metavar="TYPE")],
    config: Annotated[str | None, typer.Argument(help="Parameters, a JSON object.")] = None,
    queue: Annotated[str | None, typer.Option(help="Queue; by default that of the type.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal, high, urgent.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Not before this moment.")] = None,
    expires: Annotated[str | None, typer.Option(help="Too late after this moment.")] = None,
    lane: Annotated[str | None, typer.Option(help="In order with others of this lane.")] = None,
    dedupe_key: Annotated[str | None, typer.Option(help="One live job has it.")] = None,
    after: Annotated[
        list[str] | None, typer.Option(help="A job that must end before; may be repeated.")
    ] = None,
    max_attempts: Annotated[
        int | None, number(int, 1, MOST_ATTEMPTS, "How often it is tried.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also a type no running worker has a handler for.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Store a job."""
    options: dict[str, Any] = {
        "queue": queue,
        "priority": priority,
        "scheduled_for": None if at is None else moment("at", at),
        "expires_at": None if expires is None else moment("expires", expires),
        "lane": lane,
        "dedupe_key": dedupe_key,
        "depends_on": after or None,
        "max_attempts": max_attempts,
    }
    fields = {name: value for name, value in options.items() if value is not None}

    async def run() -> Any:
        async with connected_service(ctx) as service:
            if force:
                service.declare_job_type(job_type)
            jobs = service.tenant(target_of(ctx).tenant).jobs
            return await jobs.enqueue(
                job_type, None if config is None else json_object("config", config), **fields
            )

    done = run_once(run())
    if as_json:
        print_json(asdict(done))
    else:
        console.print(f"{done.job_id} {done.outcome.value}", markup=False, highlight=False)


@app.command("cancel")
def cancel(ctx: typer.Context, job: JobArgument) -> None:
    """Cancel a job; a running one is asked to stop."""

    async def run() -> JobStatus:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.cancel(job)

    waits = run_once(run()) is JobStatus.PROCESSING
    text = "asked to stop; its worker sees it within seconds" if waits else "cancelled"
    console.print(f"{job} {text}", markup=False, highlight=False)


@app.command("retry")
def retry(ctx: typer.Context, job: JobArgument) -> None:
    """Let a failed or cancelled job wait again."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            await tenant.jobs.retry(job)

    run_once(run())
    console.print(f"{job} waits again", markup=False, highlight=False)


@app.command("replay-dead")
def replay_dead(
    ctx: typer.Context,
    job_type: TypeOption = None,
    queue: QueueOption = None,
    reason: ReasonOption = None,
    most: Annotated[int | None, number(int, 1, MOST, "Most jobs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let failed jobs wait again, newest first."""

    async def run(stop: StopSignal) -> Replayed:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.replay_dead(
                queue=queue, job_type=job_type, reason=reason, most=most, stop=stop
            )

    ended = run_loop(run)
    done = ended.result
    if as_json:
        print_json(asdict(done))
    else:
        console.print(
            f"{done.replayed:,} jobs wait again, {done.left:,} left as they are",
            markup=False,
            highlight=False,
        )
    if not done.finished:
        ended.check(_UNFINISHED)


@app.command("purge")
def purge(
    ctx: typer.Context,
    state: Annotated[
        list[JobStatus], typer.Option(help="completed, failed, cancelled; may be repeated.")
    ],
    older_than: Annotated[float, AGE],
    job_type: TypeOption = None,
    queue: QueueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete ended jobs before their seven days are over."""

    async def run(stop: StopSignal) -> Purged:
        async with connected_tenant(ctx) as tenant:
            return await tenant.jobs.purge(
                states=state,
                older_than=older_than,
                queue=queue,
                job_type=job_type,
                stop=stop,
            )

    ended = run_loop(run)
    if as_json:
        print_json(asdict(ended.result))
    else:
        console.print(f"{ended.result.deleted:,} jobs deleted", markup=False, highlight=False)
    if not ended.result.finished:
        ended.check(_UNFINISHED)


@app.command("stats")
def stats(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Count jobs by queue, type and state, and show the workers of all tenants."""

    async def run() -> tuple[Sequence[JobCount], list[WorkerStatus]]:
        async with connected_service(ctx) as service:
            return await _stats(service, target_of(ctx).tenant)

    counts, workers = run_once(run())
    if as_json:
        print_json(
            {
                "jobs": [count.to_json() for count in counts],
                "workers": [worker.to_json() for worker in workers],
            }
        )
        return
    console.print(_jobs_table(counts))
    console.print(_workers_table(workers))


@app.command("watch")
def watch(
    ctx: typer.Context,
    every: Annotated[float, number(float, 0.1, 3_600, "Seconds between looks.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each change of a job's state as a line.")
    ] = False,
) -> None:
    """Show the counts of `jobs stats` live, until stopped."""

    async def tell(stop: StopSignal) -> None:
        async with connected_tenant(ctx) as tenant:
            async for event in tenant.jobs.events():
                console.file.write(json.dumps(event.to_json(), default=_text) + "\n")
                console.file.flush()
                if stop.requested:
                    return

    async def refresh(stop: StopSignal) -> None:
        async with connected_service(ctx) as service:
            with Live(console=progress_console, auto_refresh=False) as live:
                while not stop.requested:
                    counts, workers = await _stats(service, target_of(ctx).tenant)
                    both = Table.grid()
                    both.add_row(_jobs_table(counts))
                    both.add_row(_workers_table(workers))
                    live.update(both, refresh=True)
                    await stop.pause(every)

    if not as_json:
        run_loop(refresh)
        return

    async def until_stopped(stop: StopSignal) -> None:
        await stop.race(tell(stop))

    run_loop(until_stopped)


async def _stats(
    service: MessageService, tenant: str
) -> tuple[Sequence[JobCount], list[WorkerStatus]]:
    counts, workers = await asyncio.gather(
        service.tenant(tenant).jobs.counts(), service.queue.workers()
    )
    return counts, workers


def _jobs_table(counts: Sequence[JobCount]) -> Table:
    table = Table(title="Jobs", title_justify="left")
    for name in ("queue", "type", *(status.value for status in JobStatus)):
        table.add_column(name, justify="left" if name in {"queue", "type"} else "right")
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for each in counts:
        rows.setdefault((each.queue, each.job_type), {})[each.status.value] = each.count
    for (queue, job_type), by_status in rows.items():
        table.add_row(queue, job_type, *(f"{by_status.get(each, 0):,}" for each in JobStatus))
    return table


def _workers_table(workers: list[WorkerStatus]) -> Table:
    table = Table(title="Workers", title_justify="left")
    for name in ("worker", "queues", "running", "completed", "failed", "seen"):
        table.add_column(name, overflow="fold")
    now = SystemClock().now()
    for each in workers:
        seen = max(0.0, (now - each.seen_at).total_seconds())
        table.add_row(
            each.name,
            ", ".join(each.queues),
            f"{each.running}/{each.concurrency}",
            f"{each.figures.get('completed', 0):,}",
            f"{each.figures.get('failed', 0):,}",
            f"{seen:.0f} s ago" + ("" if each.alive else ", silent"),
        )
    return table


def plain(job: Job) -> dict[str, Any]:
    """Return a job as `--json` prints it."""
    return job.model_dump(mode="json", exclude_none=True, exclude={"id", "revision_id"})


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
