"""`analytics report`: summaries as a table, a file or a chart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.analytics.asking import PERIODS, check_metric, check_period
from message_service.analytics.lines import KEYS, columns_of, columns_of_all, in_columns, lines_of
from message_service.analytics.metrics import Metric
from message_service.analytics.results import Ranked, Summary, Top
from message_service.cli.context import connected_tenant, console, print_table
from message_service.cli.exporting import write_lines
from message_service.cli.numbers import number
from message_service.cli.report_files import TABLE, check_output, write_chart
from message_service.cli.running import run_once
from message_service.cli.values import day
from message_service.clock import SystemClock
from message_service.documents.analytics import Dimension
from message_service.reports.charts import Point, draw, kind_of_chart
from message_service.reports.formats import FORMATS
from message_service.service import Tenant
from message_service.stopping import StopSignal
from message_service.usage.money import shown

_SHOWN = (
    "total_messages",
    "unique_users",
    "total_tokens",
    "avg_response_time_ms",
    "p95_response_time_ms",
)
_MOST_SHOWN = 1_000
_MOST_TOP = 10_000
_BY = ("user", "character", "conversation", "model")


def report(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option("--from", help="First day; else 30 days before the last.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="First day after it; without it, tomorrow.")
    ] = None,
    period: Annotated[str, typer.Option(help=f"{', '.join(PERIODS)}.")] = "day",
    by: Annotated[
        str | None, typer.Option(help=f"Each of a kind for itself: {', '.join(_BY)}.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Which metrics, with commas; `all` for every one.")
    ] = None,
    top: Annotated[int | None, number(int, 1, _MOST_TOP, "Only those with the most.")] = None,
    order_by: Annotated[
        str | None, typer.Option(help="The most of what: a metric, or a currency.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    character: Annotated[str | None, typer.Option(help="Of this character.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Of this conversation.")] = None,
    provider: Annotated[str | None, typer.Option(help="Of this provider's model.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model.")] = None,
    name: Annotated[str, typer.Option("--format", help=f"{TABLE}, {', '.join(FORMATS)}.")] = TABLE,
    output: Annotated[Path, typer.Option(help="File to write; '-' for standard output.")] = Path(
        "-"
    ),
    chart: Annotated[
        Path | None, typer.Option(help="Draw a chart too, into this .png or .svg file.")
    ] = None,
    chart_of: Annotated[
        str, typer.Option(help="The metric it shows, or a currency.")
    ] = "total_messages",
) -> None:
    """Show what messages amount to by day, week or month, from the summaries.

    Without --by it is one line for each period, of the tenant or of what is named. A file appears,
    or is replaced, only when it is complete.
    """
    today = SystemClock().now().date()
    end = today + timedelta(days=1) if until is None else day("until", until)
    first = end - timedelta(days=30) if since is None else day("since", since)
    check_period(period)
    chosen = _metrics(metrics, all_of=name != TABLE)
    check_output(name, output)
    kind = None if chart is None else kind_of_chart(chart)
    named = {
        "user_id": user,
        "character_id": character,
        "conversation_id": conversation,
        "provider": provider,
        "model": model,
    }
    given = {field: value for field, value in named.items() if value is not None}
    if by is not None and given:
        raise errors.InvalidInput("by", f"is given beside {next(iter(given))}", "Leave out one")
    if top is None and order_by is not None:
        raise errors.InvalidInput("order_by", "is given without top", "Give --top too")
    if top is not None and (by is None or name != TABLE or chart is not None):
        raise errors.InvalidInput("top", "is for tables with --by", "Give --by, and no file")
    title = f"{first} to {end}, by {period}"
    if top is not None and by is not None:
        _print_top(ctx, by, first, end, order_by or "total_messages", top, period)
        return
    kept: list[Summary] = []

    async def run() -> int | None:
        async with connected_tenant(ctx) as tenant:
            rows = _rows(tenant, first, end, period, by, given)
            dimension = _dimension(by, given)
            if name == TABLE:
                kept.extend([row async for row in rows])
                return len(kept)
            lines = lines_of(rows if chart is None else _keep(rows, kept), chosen)
            return await write_lines(
                FORMATS[name](columns_of(dimension, chosen), lines), output, StopSignal()
            )

    run_once(run())
    if name == TABLE:
        _print_rows(kept, chosen, title, _dimension(by, given))
    if chart is not None and kind is not None:
        points = _points(kept, chart_of)
        write_chart(draw(points, kind, title=f"{chart_of}, {title}", unit=chart_of), chart)


async def _rows(
    tenant: Tenant, since: date, until: date, period: str, by: str | None, named: dict[str, str]
) -> AsyncIterator[Summary]:
    if by is None:
        found = await tenant.analytics.series(since, until, period, **named)
        for summary in found.summaries:
            yield summary
    else:
        async for summary in tenant.analytics.each(by, since, until, period):
            yield summary


async def _keep(rows: AsyncIterator[Summary], kept: list[Summary]) -> AsyncIterator[Summary]:
    async for row in rows:
        kept.append(row)
        yield row


def _dimension(by: str | None, named: dict[str, str]) -> Dimension:
    if by is not None:
        return Dimension(by) if by in _BY else Dimension.TENANT
    if not named:
        return Dimension.TENANT
    field = next(iter(named))
    return Dimension.MODEL if field == "provider" else Dimension(field.removesuffix("_id"))


def _metrics(names: str | None, *, all_of: bool) -> list[Metric]:
    """Return the metrics a caller names, or those shown without.

    Raises:
        InvalidInput: There is none of that name, or it is no column.
    """
    if names == "all" or (names is None and all_of):
        return columns_of_all()
    if names is None:
        return [check_metric("metrics", each) for each in _SHOWN]
    found = [check_metric("metrics", each.strip()) for each in names.split(",")]
    for metric in found:
        if not in_columns(metric):
            raise errors.InvalidInput(
                "metrics", f"{metric.name} is no single number", "Costs are always shown"
            )
    return found


def _print_rows(
    rows: Sequence[Summary], metrics: Sequence[Metric], title: str, dimension: Dimension
) -> None:
    if not any(row.message_metrics.total_messages for row in rows):
        console.print(f"no messages ({title})", markup=False, highlight=False)
        return
    print_table(
        title,
        ("first day", *KEYS[dimension], *(metric.name for metric in metrics), "cost"),
        [
            (
                row.first,
                *(row.key.get(name, "-") for name in KEYS[dimension]),
                *(_cell(row.value(metric.name)) for metric in metrics),
                _costs(row),
            )
            for row in rows[:_MOST_SHOWN]
        ],
    )
    if (left := len(rows) - _MOST_SHOWN) and left > 0:
        console.print(f"{left:,} more rows: use --top, or --format csv", markup=False)


def _print_top(
    ctx: typer.Context,
    by: str,
    since: date,
    until: date,
    order_by: str,
    top: int,
    period: str,
) -> None:
    async def run() -> Top:
        async with connected_tenant(ctx) as tenant:
            return await tenant.analytics.top(
                by, since, until, order_by=order_by, limit=top, period=period
            )

    found = run_once(run())
    names = KEYS[Dimension(by)]
    print_table(
        f"{since} to {until}: {len(found.ranked):,} of {found.total:,}, most {order_by} first",
        (*names, order_by, "share", "messages"),
        [_ranked(each, names) for each in found.ranked],
    )


def _ranked(each: Ranked, names: Sequence[str]) -> tuple[str, ...]:
    return (
        *(each.key.get(name, "-") for name in names),
        _cell(each.value),
        "-" if each.share is None else f"{each.share:.1%}",
        f"{each.messages:,}",
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return shown(value, 6)
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"


def _costs(row: Summary) -> str:
    costs = sorted(row.token_metrics.costs.items())
    return " + ".join(f"{shown(cost, 6)} {currency}" for currency, cost in costs) or "-"


def _points(rows: Sequence[Summary], measure: str) -> list[Point]:
    """Return what a chart shows: a metric along time.

    Raises:
        InvalidInput: There is nothing to show.
    """
    is_currency = measure.isupper() and len(measure) == 3
    metric = None if is_currency else check_metric("chart_of", measure)
    points: list[Point] = []
    for row in rows:
        value = row.token_metrics.costs.get(measure) if metric is None else row.value(metric.name)
        if isinstance(value, dict):
            raise errors.InvalidInput("chart_of", f"{measure} is no single number", "Use another")
        if value:
            names = " / ".join(row.key.values())
            points.append(Point(row.first, names, Decimal(value)))
    if not points:
        raise errors.InvalidInput("chart", f"has nothing to show: no {measure}", "Choose others")
    return points
