"""`usage`: what messages used and cost."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated

import typer

from message_service.cli import budgets, usage_reconcile, usage_report
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    print_table,
    progress_console,
)
from message_service.cli.running import run_loop, run_once
from message_service.cli.values import moment
from message_service.stopping import StopSignal
from message_service.usage.explaining import Explanation
from message_service.usage.money import shown
from message_service.usage.recost import Recosted

app = typer.Typer(no_args_is_help=True)
app.add_typer(budgets.app, name="budgets", help="What may be spent: set, list, status, remove.")
app.command("report")(usage_report.report)
app.command("reconcile")(usage_reconcile.reconcile)


@app.command("explain")
def explain(
    ctx: typer.Context,
    conversation: Annotated[str, typer.Argument(help="Conversation id.")],
    message: Annotated[str, typer.Argument(help="Message id.")],
    as_json: JsonOption = False,
) -> None:
    """Show the arithmetic behind the cost of a message, line by line."""

    async def run() -> Explanation:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.explain(conversation, message)

    found = run_once(run())
    if not as_json:
        for line in found.text():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    values = asdict(found)
    for name in ("prompt", "completion", "total", "first_billed"):
        values[name] = None if values[name] is None else shown(values[name])
    values["lines"] = [
        {
            "token_class": line.token_class.value,
            "count": line.count,
            "unit_price": shown(line.row.unit_price),
            "price_id": line.row.price_id,
            "priced_as": line.row.token_class.value,
            "cost": shown(line.cost),
        }
        for line in found.lines
    ]
    print_json(values)


@app.command("recost")
def recost(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--from", help="First day or moment of the period.")],
    until: Annotated[str, typer.Option("--to", help="First day or moment after it.")],
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute the cost of a period again, at the prices known now.

    What was billed first is kept. Ctrl-C or SIGTERM finishes the current batch; running it again
    goes on where it was.
    """
    begin, end = moment("since", since), moment("until", until)

    async def run(stop: StopSignal) -> Recosted:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.recost(
                begin, end, provider=provider, model=model, dry_run=dry_run, stop=stop
            )

    ended = run_loop(run)
    _print_recosted(ended.result, dry_run=dry_run, as_json=as_json)
    if not ended.result.finished:
        ended.check("stopped with work left; run it again to go on")


def _print_recosted(done: Recosted, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        values = asdict(done)
        for change in values["models"].values():
            for side in ("before", "after"):
                change[side] = {unit: shown(cost) for unit, cost in change[side].items()}
        print_json(values)
        return
    if done.models:
        print_table(
            "Costs that would change" if dry_run else "Costs changed",
            ("model", "messages", "before", "after"),
            [
                (name, f"{change.messages:,}", _sums(change.before), _sums(change.after))
                for name, change in sorted(done.models.items())
            ],
        )
    console.print(
        f"{done.examined:,} messages with usage: {done.changed:,} "
        f"{'would change' if dry_run else 'changed'}, {done.unchanged:,} stay, {done.given:,} "
        f"given by callers, {done.unpriced:,} without a price",
        markup=False,
        highlight=False,
    )


def _sums(sums: dict[str, Decimal]) -> str:
    return ", ".join(f"{shown(cost)} {unit}" for unit, cost in sorted(sums.items())) or "-"


@app.command("count")
def count(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is due.")] = False,
) -> None:
    """Keep the counters of budgets of all tenants up to date until stopped.

    One process of all works at a time. Ctrl-C or SIGTERM finishes the current step; a second one
    ends at once.
    """

    async def run(stop: StopSignal) -> bool:
        async with connected_service(ctx) as service:
            if not once:
                progress_console.print("counting; stop with Ctrl-C", markup=False)
                return await service.usage_counters.run(stop)
            counted = await service.usage_counters.drain(stop=stop)
        console.print(f"{counted:,} messages counted", markup=False, highlight=False)
        return not stop.requested

    ended = run_loop(run)
    if not ended.result:
        ended.check("stopped with work left; run it again to go on")
