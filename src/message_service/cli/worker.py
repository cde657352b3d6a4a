"""`worker`: runs jobs and all background work until stopped."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.cli.context import connected_service, print_json, progress_console
from message_service.cli.numbers import LONGEST_SECONDS, number
from message_service.cli.running import run_loop
from message_service.queue.worker import MOST_JOBS, WorkerFigures
from message_service.stopping import StopSignal

_AFTER_GRACE = 5.0
"""Seconds to hand jobs back and disconnect."""


def worker(
    ctx: typer.Context,
    queues: Annotated[
        str | None, typer.Option(help="Queues to listen on, separated by commas; all if left out.")
    ] = None,
    concurrency: Annotated[int, number(int, 1, MOST_JOBS, "Jobs run at once.")] = 10,
    grace: Annotated[
        float, number(float, 0, LONGEST_SECONDS, "Seconds running jobs have to end.")
    ] = 20.0,
    modules: Annotated[
        list[str] | None,
        typer.Option("--import", help="Python module with handlers; may be repeated."),
    ] = None,
    loops: Annotated[
        bool, typer.Option("--loops/--no-loops", help="Index and count in this process too.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Log one JSON object a line on stderr.")
    ] = False,
) -> None:
    """Run jobs of all tenants, the search index and the counters of budgets until stopped.

    Start as many as you like. Ctrl-C or SIGTERM begins no further job and lets the running ones end
    within the grace period, then hands them back; a second one ends at once.
    """
    for name in modules or ():
        _import(name)
    _log_to_stderr(as_json=as_json)

    async def run(stop: StopSignal) -> WorkerFigures:
        async with connected_service(ctx) as service:
            at_work = service.worker(
                [] if queues is None else [name.strip() for name in queues.split(",")],
                concurrency=concurrency,
                grace=grace,
                loops=loops,
            )
            progress_console.print(
                f"worker {at_work.name} listens on {', '.join(at_work.queues)}; stop with Ctrl-C",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            await at_work.run(stop)
            return at_work.figures

    ended = run_loop(run, grace=grace + _AFTER_GRACE)
    if as_json:
        print_json(asdict(ended.result))
        return
    done = ended.result
    progress_console.print(
        f"{done.completed:,} jobs completed, {done.failed:,} failed, {done.retried:,} attempts to "
        f"be repeated, {done.snoozed:,} put off, {done.handed_back:,} handed back",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _import(name: str) -> None:
    """Import a module of the application's, from the current directory too."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name)
    except Exception as error:
        raise errors.InvalidInput(
            "--import",
            f"{name!r} cannot be imported ({type(error).__name__}: {error})".replace("\n", " "),
            "Name a module that Python finds from here",
        ) from error


class _Lines(logging.Formatter):
    """One line for each record; what is known of a job follows its text, or is a field."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = getattr(record, "job", {})
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        text = record.getMessage()
        if self._as_json:
            return json.dumps(
                {"time": time, "level": record.levelname, "text": text, **facts}, default=str
            )
        shown = " ".join(
            f"{name}={facts[name]}"
            for name in ("job_type", "tenant_id", "attempt", "reason", "seconds")
            if facts.get(name) is not None
        )
        return f"{time} {record.levelname} {text} {shown}".rstrip()


def _log_to_stderr(*, as_json: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json=as_json))
    package = logging.getLogger("message_service")
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
