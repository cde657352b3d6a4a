"""`analytics`: summaries of messages by day, week and month."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from message_service import errors
from message_service.analytics.checking import Checked
from message_service.cli import analytics_report
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.running import run_loop, run_once
from message_service.cli.values import day
from message_service.stopping import StopSignal

app = typer.Typer(no_args_is_help=True)
app.command("report")(analytics_report.report)

FromOption = Annotated[
    str | None, typer.Option("--from", help="First day; else the first one with messages.")
]
ToOption = Annotated[str | None, typer.Option("--to", help="First day after it; else the last.")]


@app.command("rollup")
def rollup(ctx: typer.Context, since: FromOption = None, until: ToOption = None) -> None:
    """Bring the summaries of all tenants up to date; with a range, make them again from nothing.

    A worker does it all the time. Ctrl-C or SIGTERM finishes the current step, or the current
    month of a range.
    """
    first, end = _days(since, until)

    async def run(stop: StopSignal) -> tuple[int, bool]:
        async with connected_service(ctx) as service:
            made = True
            if first is not None or end is not None:
                made = await service.rollups.rebuild(first, end, stop)
            return await service.rollups.drain(stop=stop), made and not stop.requested

    ended = run_loop(run)
    count, finished = ended.result
    console.print(f"{count:,} changed messages summarised", markup=False, highlight=False)
    if not finished:
        ended.check("stopped with work left; run it again to go on")


@app.command("check")
def check(
    ctx: typer.Context,
    since: FromOption = None,
    until: ToOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make those months again in which something is wrong.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the summaries of all tenants with the messages, metric by metric.

    Exit code 14 when something is wrong, unless it was repaired. Nobody writes summaries of a month
    while it is checked. Ctrl-C or SIGTERM finishes the current month.
    """
    first, end = _days(since, until)

    async def run(stop: StopSignal) -> Checked:
        async with connected_service(ctx) as service:
            return await service.rollups.check(first, end, stop, repair=repair)

    ended = run_loop(run)
    found = ended.result
    if as_json:
        print_json({**asdict(found), "is_right": found.is_right})
    else:
        _print_checked(found)
    if not found.finished:
        ended.check("stopped with work left; run it again")
    if not found.is_right and not found.repaired:
        raise errors.SummariesDiffer("summaries do not say what the messages do; use --repair")


@app.command("zone")
def zone(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The zone to set, like Asia/Tokyo; else it is shown.")
    ] = None,
) -> None:
    """Show whose days the tenant's summaries have, or give them those of another time zone.

    All summaries of the tenant are made again by it.
    """

    async def run() -> str:
        async with connected_tenant(ctx) as tenant:
            if name is not None:
                await tenant.analytics.set_time_zone(name)
            return await tenant.analytics.time_zone()

    console.print(run_once(run()), markup=False, highlight=False)


def _print_checked(found: Checked) -> None:
    if found.drift:
        print_table(
            "Metrics that are wrong",
            ("metric", "summaries", "too much by", "for example", "says", "must say"),
            [
                (
                    each.metric,
                    f"{each.summaries:,}",
                    "-" if each.difference is None else f"{each.difference:,f}",
                    *each.example,
                )
                for each in sorted(found.drift.values(), key=lambda each: -each.summaries)
            ],
        )
    counts = {
        "missing": found.missing,
        "of nothing": found.stray,
        "days wait to be summarised": found.waiting,
        "of their messages were erased since": found.erased,
    }
    console.print(
        f"{found.summaries:,} summaries of {found.messages:,} messages compared: "
        + ("all are right" if found.is_right else f"{len(found.drift):,} metrics are wrong")
        + "".join(f", {count:,} {name}" for name, count in counts.items() if count)
        + (", repaired" if found.repaired else ""),
        markup=False,
        highlight=False,
    )


def _days(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    return (
        None if since is None else day("since", since),
        None if until is None else day("until", until),
    )
