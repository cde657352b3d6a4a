"""`usage`: what messages used and cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from message_service.cli import budgets
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    progress_console,
)
from message_service.cli.running import run_loop, run_once
from message_service.stopping import StopSignal
from message_service.usage.explaining import Explanation
from message_service.usage.money import shown

app = typer.Typer(no_args_is_help=True)
app.add_typer(budgets.app, name="budgets", help="What may be spent: set, list, status, remove.")


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
