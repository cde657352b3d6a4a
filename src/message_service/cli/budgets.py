"""`usage budgets`: what may be spent, and how much of it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.numbers import MOST, number
from message_service.cli.running import run_once
from message_service.usage.budgets import TOKENS, Budget, BudgetCheck
from message_service.usage.money import shown

app = typer.Typer(no_args_is_help=True)

User = Annotated[str | None, typer.Option(help="Of this user; '*' for every user by itself.")]
Character = Annotated[
    str | None, typer.Option(help="Of this character; '*' for every character by itself.")
]
PeriodOption = Annotated[str, typer.Option(help="day, week or month, of UTC.")]
Currency = Annotated[str, typer.Option(help="Currency of the amount.")]


@app.command("set")
def set_budget(
    ctx: typer.Context,
    amount: Annotated[str | None, typer.Option(help="The most that may be spent.")] = None,
    tokens: Annotated[int | None, number(int, 0, MOST, "The most tokens instead.")] = None,
    currency: Currency = "USD",
    user: User = None,
    character: Character = None,
    period: PeriodOption = "month",
    near: Annotated[str, typer.Option(help="Share of it from which it is nearly spent.")] = "0.8",
    as_json: JsonOption = False,
) -> None:
    """Set a budget of the tenant, a user or a character, in the place of an earlier one."""
    if (amount is None) == (tokens is None):
        raise errors.InvalidInput("amount", "or --tokens must be given", "Give one of them")
    try:
        share = float(near)
    except ValueError:
        raise errors.InvalidInput("near", "is not a number", "Use a number from 0 to 1") from None

    async def run() -> Budget:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.budgets.set(
                amount if amount is not None else str(tokens),
                user_id=user,
                character_id=character,
                period=period,
                unit=currency if amount is not None else TOKENS,
                near=share,
            )

    _print([run_once(run())], as_json=as_json)


@app.command("remove")
def remove(
    ctx: typer.Context,
    tokens: Annotated[bool, typer.Option("--tokens", help="The one in tokens.")] = False,
    currency: Currency = "USD",
    user: User = None,
    character: Character = None,
    period: PeriodOption = "month",
) -> None:
    """Remove a budget."""
    unit = TOKENS if tokens else currency

    async def run() -> bool:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.budgets.remove(
                user_id=user, character_id=character, period=period, unit=unit
            )

    if not run_once(run()):
        raise errors.NotFound("budget", f"by {period} in {unit}")


@app.command("list")
def list_budgets(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the budgets."""

    async def run() -> list[Budget]:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.budgets.list()

    _print(run_once(run()), as_json=as_json)


@app.command("status")
def status(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="With the budgets of this user.")] = None,
    character: Annotated[str | None, typer.Option(help="And of this character.")] = None,
    expected: Annotated[str, typer.Option(help="What the next call will cost.")] = "0",
    as_json: JsonOption = False,
) -> None:
    """Show how much is spent: allowed, near or over."""

    async def run() -> BudgetCheck:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.check(
                user_id=user, character_id=character, expected_cost=expected
            )

    found = run_once(run())
    if as_json:
        print_json(
            {
                "verdict": found.verdict,
                "budgets": [
                    {
                        **_plain(each.budget),
                        "subject": each.subject,
                        "since": each.since,
                        "until": each.until,
                        "spent": shown(each.spent),
                        "left": shown(each.left),
                        "verdict": each.verdict,
                    }
                    for each in found.budgets
                ],
            }
        )
        return
    print_table(
        "Budgets",
        ("subject", "since", "until", "spent", "limit", "verdict"),
        [
            (
                each.subject,
                f"{each.since:%Y-%m-%d}",
                f"{each.until:%Y-%m-%d}",
                shown(each.spent),
                f"{shown(each.budget.limit)} {each.budget.unit}",
                each.verdict,
            )
            for each in found.budgets
        ],
    )
    console.print(found.verdict, markup=False)


def _print(budgets: list[Budget], *, as_json: bool) -> None:
    if as_json:
        print_json([_plain(each) for each in budgets])
        return
    print_table(
        "Budgets",
        ("subject", "period", "limit", "near from"),
        [
            (each.subject, each.period, f"{shown(each.limit)} {each.unit}", f"{each.near:.0%}")
            for each in budgets
        ],
    )


def _plain(budget: Budget) -> dict[str, Any]:
    return asdict(budget) | {"limit": shown(budget.limit)}
