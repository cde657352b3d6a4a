"""`usage report`: tokens and cost by anything, as a table, a file or a chart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.cli.context import connected_tenant
from message_service.cli.exporting import write_lines
from message_service.cli.numbers import number
from message_service.cli.report_files import TABLE, check_output, write_chart
from message_service.cli.running import run_once
from message_service.cli.usage_table import UsageTable
from message_service.cli.values import moment
from message_service.clock import SystemClock
from message_service.reports.charts import draw, kind_of_chart
from message_service.reports.formats import FORMATS
from message_service.reports.zones import zone_of
from message_service.stopping import StopSignal
from message_service.usage.reporting.chart import MOST_POINTS, points_of
from message_service.usage.reporting.dimensions import DIMENSIONS, dimensions
from message_service.usage.reporting.lines import columns_of, lines_of
from message_service.usage.reporting.report import MOST_TOP, check_measure
from message_service.usage.reporting.rows import UsageRow


def report(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option("--from", help="First day or moment; else this month's first day.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="First day or moment after it; without it, now.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help=f"What to tell apart, several with commas: {', '.join(DIMENSIONS)}."),
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Whose days, weeks and months.")] = "UTC",
    top: Annotated[int | None, number(int, 1, MOST_TOP, "Only the rows with the most.")] = None,
    order_by: Annotated[
        str | None, typer.Option(help="The most of what: tokens, messages, or a currency.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only of this user.")] = None,
    character: Annotated[str | None, typer.Option(help="Only of this character.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Only of this conversation.")] = None,
    detailed: Annotated[
        bool, typer.Option("--detailed", help="With classes of tokens, and cost of each side.")
    ] = False,
    name: Annotated[str, typer.Option("--format", help=f"{TABLE}, {', '.join(FORMATS)}.")] = TABLE,
    output: Annotated[Path, typer.Option(help="File to write; '-' for standard output.")] = Path(
        "-"
    ),
    chart: Annotated[
        Path | None, typer.Option(help="Draw a chart too, into this .png or .svg file.")
    ] = None,
    chart_of: Annotated[
        str, typer.Option(help="What it shows: tokens, messages, or a currency.")
    ] = "tokens",
) -> None:
    """Show tokens and cost, from the messages themselves.

    A file appears, or is replaced, only when it is complete. Ctrl-C or SIGTERM stops at once.
    """
    zone = zone_of(time_zone)
    now = SystemClock().now()
    month = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin = month if since is None else moment("since", since, zone)
    end = now if until is None else moment("until", until, zone)
    chosen = dimensions([each for given in by or () for each in given.split(",")])
    check_output(name, output)
    kind = None if chart is None else kind_of_chart(chart)
    check_measure("chart_of", chart_of)
    title = f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, {time_zone}"
    table = UsageTable(
        [each.name for each in chosen],
        title if top is None else f"{title}, the top {top:,}",
        detailed=detailed,
    )
    kept: list[UsageRow] = []

    async def run() -> int | None:
        async with connected_tenant(ctx) as tenant:
            found = tenant.usage.report(
                begin,
                end,
                [each.name for each in chosen],
                time_zone=time_zone,
                top=top,
                order_by=order_by,
                user_id=user,
                character_id=character,
                conversation_id=conversation,
                detailed=detailed,
            )
            rows = found if chart is None else _kept(found, kept)
            if name == TABLE:
                return await table.take(rows)
            lines = lines_of(rows, detailed=detailed)
            pieces = FORMATS[name](columns_of(chosen, detailed=detailed), lines)
            return await write_lines(pieces, output, StopSignal())

    written = run_once(run())
    if name == TABLE:
        table.print()
    if chart is not None and kind is not None:
        if name != TABLE and not written:
            raise errors.InvalidInput(
                "chart", "needs all rows, but the output's reader left", "Use --output FILE"
            )
        points = points_of(kept, chart_of)
        data = draw(points, kind, title=f"{chart_of}, {title}", unit=chart_of)
        write_chart(data, chart)


async def _kept(rows: AsyncIterator[UsageRow], kept: list[UsageRow]) -> AsyncIterator[UsageRow]:
    """Pass rows on, and keep as many as a chart can show, and one more."""
    async for row in rows:
        if len(kept) <= MOST_POINTS:
            kept.append(row)
        yield row
