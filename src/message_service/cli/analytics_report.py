"""`analytics report`: summaries as a table, a file or a chart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.analytics.asking import (
    PERIODS,
    check_metric,
    check_period,
    is_currency,
)
from message_service.analytics.lines import (
    columns_of,
    columns_of_all,
    in_columns,
    is_distribution,
    lines_of,
)
from message_service.analytics.metrics import PUBLISHED, Metric
from message_service.analytics.results import Summary
from message_service.cli.analytics_asked import BY, Asked
from message_service.cli.analytics_charts import along_time
from message_service.cli.analytics_views import (
    View,
    cell,
    compared_view,
    distribution_view,
    ranked_view,
)
from message_service.cli.context import connected_service, connected_tenant, console, print_table
from message_service.cli.exporting import write_lines
from message_service.cli.numbers import number
from message_service.cli.report_files import TABLE, check_output, write_chart
from message_service.cli.running import run_once
from message_service.cli.values import day
from message_service.clock import SystemClock
from message_service.reports.charts import draw, kind_of_chart
from message_service.reports.formats import FORMATS
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
        str | None, typer.Option(help=f"Each of a kind for itself: {', '.join(BY)}.")
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
        str, typer.Option(help="What it shows: a currency, or metrics with commas.")
    ] = "total_messages",
    compare: Annotated[
        bool, typer.Option("--compare", help="The whole range, beside the one before it.")
    ] = False,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="All tenants together, or --by tenant.")
    ] = False,
) -> None:
    """Show what messages amount to by day, week or month, from the summaries.

    Without --by it is one line for each period, of the tenant or of what is named. A distribution
    as the only metric shows its classes over the whole range. A file appears, or is replaced, only
    when it is complete.
    """
    today = SystemClock().now().date()
    end = today + timedelta(days=1) if until is None else day("until", until)
    first = end - timedelta(days=30) if since is None else day("since", since)
    check_period(period)
    check_output(name, output)
    named = {
        "user_id": user,
        "character_id": character,
        "conversation_id": conversation,
        "provider": provider,
        "model": model,
    }
    asked = Asked(
        first,
        end,
        period,
        by,
        {field: value for field, value in named.items() if value is not None},
        all_tenants=all_tenants,
    )
    asked.check(top=top is not None, compare=compare, order_by=order_by)
    kind = None if chart is None else kind_of_chart(chart)
    if compare and kind is not None:
        raise errors.InvalidInput("chart", "is given beside compare", "Leave out one")
    view: View | None = None
    if top is not None:
        view = run_once(_ranked(ctx, asked, order_by or "total_messages", top))
    elif compare:
        view = run_once(_compared(ctx, asked, _metrics(metrics, all_of=True)))
    elif (distribution := _distribution(metrics)) is not None:
        view = run_once(_classes(ctx, asked, "metrics", distribution))
    if view is None:
        chosen = _metrics(metrics, all_of=name != TABLE)
        rows = _along_time(ctx, asked, chosen, name, output, keep=kind is not None)
    else:
        rows = []
        view.show(name, output)
    if chart is not None and kind is not None:
        shown_as = _drawn(ctx, asked, view, rows, chart_of, kind)
        write_chart(shown_as, chart)


async def _ranked(ctx: typer.Context, asked: Asked, order_by: str, top: int) -> View:
    async with connected_tenant(ctx) as tenant:
        found = await tenant.analytics.top(
            asked.by or "",
            asked.since,
            asked.until,
            order_by=order_by,
            limit=top,
            period=asked.period,
        )
    metric = None if is_currency(order_by) else check_metric("order_by", order_by)
    view = ranked_view(found, asked.names, metric, order_by)
    return replace(view, title=f"{asked.title}: {view.title}")


async def _compared(ctx: typer.Context, asked: Asked, metrics: Sequence[Metric]) -> View:
    async with connected_tenant(ctx) as tenant:
        found = await tenant.analytics.compare(asked.since, asked.until, **asked.named)
    return compared_view(found, metrics, asked.title)


async def _classes(ctx: typer.Context, asked: Asked, field: str, metric: Metric) -> View:
    if asked.by is not None or asked.all_tenants:
        raise errors.InvalidInput(
            field, f"{metric.name} is of one subject", "Leave out --by and --all-tenants"
        )
    async with connected_tenant(ctx) as tenant:
        found = await tenant.analytics.total(asked.since, asked.until, **asked.named)
    return distribution_view(found, metric, asked.title)


def _along_time(
    ctx: typer.Context,
    asked: Asked,
    metrics: Sequence[Metric],
    name: str,
    output: Path,
    *,
    keep: bool,
) -> list[Summary]:
    """Print summaries, or write them to a file; return them when they are printed or to be kept."""
    kept: list[Summary] = []

    async def run() -> None:
        rows = _rows(ctx, asked)
        if name == TABLE:
            kept.extend([row async for row in rows])
            return
        lines = lines_of(_keep(rows, kept) if keep else rows, asked.names, metrics)
        pieces = FORMATS[name](columns_of(asked.names, metrics), lines)
        await write_lines(pieces, output, StopSignal())

    run_once(run())
    if name == TABLE:
        _print_rows(kept, metrics, asked)
    return kept


async def _rows(ctx: typer.Context, asked: Asked) -> AsyncIterator[Summary]:
    days = (asked.since, asked.until, asked.period)
    if asked.all_tenants:
        async with connected_service(ctx) as service:
            if asked.by is None:
                for summary in (await service.rollups.series(*days)).summaries:
                    yield summary
            else:
                async for summary in service.rollups.each_tenant(*days):
                    yield summary
        return
    async with connected_tenant(ctx) as tenant:
        if asked.by is None:
            for summary in (await tenant.analytics.series(*days, **asked.named)).summaries:
                yield summary
        else:
            async for summary in tenant.analytics.each(asked.by, *days):
                yield summary


async def _keep(rows: AsyncIterator[Summary], kept: list[Summary]) -> AsyncIterator[Summary]:
    async for row in rows:
        kept.append(row)
        yield row


def _drawn(
    ctx: typer.Context,
    asked: Asked,
    view: View | None,
    rows: Sequence[Summary],
    chart_of: str,
    kind: str,
) -> bytes:
    """Return the chart: of what is shown, or of a distribution beside it."""
    distribution = _distribution(chart_of)
    if view is None and distribution is not None:
        view = run_once(_classes(ctx, asked, "chart_of", distribution))
    if view is None:
        return along_time(rows, chart_of, kind, f"{asked.title}, by {asked.period}")
    if not view.points:
        raise errors.InvalidInput("chart", "has nothing to show", "Choose other days")
    ranked = asked.by is not None
    unit = view.columns[-3].name if ranked else view.columns[-1].name
    return draw(view.points, kind, title=view.title, unit=unit, in_order=not ranked)


def _distribution(names: str | None) -> Metric | None:
    """Return the distribution that is named alone, if it is one."""
    metric = PUBLISHED.get(names or "")
    return metric if metric is not None and is_distribution(metric) else None


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
                "metrics",
                f"{metric.name} is no single number",
                "Costs are always shown; name a distribution alone",
            )
    return found


def _print_rows(rows: Sequence[Summary], metrics: Sequence[Metric], asked: Asked) -> None:
    title = f"{asked.title}, by {asked.period}"
    if not any(row.message_metrics.total_messages for row in rows):
        console.print(f"no messages ({title})", markup=False, highlight=False)
        return
    print_table(
        title,
        ("first day", *asked.names, *(metric.name for metric in metrics), "cost"),
        [
            (
                row.first,
                *(row.key.get(name, "-") for name in asked.names),
                *(cell(row.value(metric.name)) for metric in metrics),
                _costs(row),
            )
            for row in rows[:_MOST_SHOWN]
        ],
    )
    if (left := len(rows) - _MOST_SHOWN) and left > 0:
        console.print(f"{left:,} more rows: use --top, or --format csv", markup=False)
    complete = rows[0].complete_up_to
    console.print(f"complete up to {complete:%Y-%m-%d %H:%M:%S} UTC", markup=False, highlight=False)


def _costs(row: Summary) -> str:
    costs = sorted(row.token_metrics.costs.items())
    return " + ".join(f"{shown(cost, 6)} {currency}" for currency, cost in costs) or "-"
