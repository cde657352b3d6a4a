"""`prices`: what tokens cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from message_service.cli import output
from message_service.cli.context import (
    JsonOption,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.running import run_once
from message_service.cli.values import moment
from message_service.usage.classes import UNIT
from message_service.usage.money import shown
from message_service.usage.price_book import Loaded
from message_service.usage.prices import PriceRow
from message_service.usage.tiers import STANDARD, provider_of

app = typer.Typer(no_args_is_help=True)

_COLUMNS = ("model", "class", "price", "holds", "known from", "source")
_PER = {1_000: "1k", 1_000_000: "1M"}
_MOST_LISTED = 200


@app.command("load")
def load(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="TOML or CSV file of your own prices; without it, the library's."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only check, and say what is new.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Load prices: all of a file or nothing. What was known before stays known."""

    async def run() -> Loaded:
        async with connected_tenant(ctx) as tenant:
            if file is None:
                return await tenant.prices.load_library(dry_run=dry_run)
            return await tenant.prices.load(file, dry_run=dry_run)

    loaded = run_once(run())
    if as_json:
        print_json(asdict(loaded))
        return
    done = "would be added" if dry_run else "added"
    console.print(
        f"{loaded.source}: {loaded.added:,} prices of {len(loaded.models):,} models {done}, "
        f"{loaded.unchanged:,} known already",
        markup=False,
        highlight=False,
    )
    if loaded.left_out:
        console.print(f"left out: {', '.join(loaded.left_out)}", markup=False, highlight=False)


@app.command("list")
def list_prices(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only prices that hold for it.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Only your own.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="However many there are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the stored prices, earlier ones too."""
    name = provider_of(provider)
    left = 0

    async def run() -> list[PriceRow]:
        nonlocal left
        found: list[PriceRow] = []
        async with connected_tenant(ctx) as tenant:
            async for row in tenant.prices.rows():
                if (
                    (name is not None and row.provider != name)
                    or (model is not None and not row.finds(model))
                    or (own and row.source != "own")
                ):
                    continue
                if not show_all and not as_json and len(found) >= _MOST_LISTED:
                    left += 1
                    continue
                found.append(row)
                if output.lost():
                    break
        return found

    rows = run_once(run())
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    _print(rows, "Prices")
    if left:
        console.print(f"{left:,} more: --all, or name a provider", markup=False, highlight=False)


@app.command("show")
def show(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    provider: Annotated[str, typer.Option(help="The provider.")],
    at: Annotated[str | None, typer.Option(help="The moment; without it, now.")] = None,
    tier: Annotated[str, typer.Option(help="Tier of service.")] = STANDARD,
    as_json: JsonOption = False,
) -> None:
    """Show the prices of a model in force at a moment."""
    when = None if at is None else moment("at", at)

    async def run() -> list[PriceRow]:
        async with connected_tenant(ctx) as tenant:
            found = await tenant.prices.find(model, provider, at=when, tier=tier)
        return [row for rows in found.by_class.values() for row in reversed(rows)]

    rows = run_once(run())
    if as_json:
        print_json([_plain(row) for row in rows])
    else:
        _print(rows, f"{model}, {tier}")


@app.command("missing")
def missing(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the models of messages whose tokens are known, and whose price is not."""

    async def run() -> list[dict[str, Any]]:
        async with connected_tenant(ctx) as tenant:
            return [asdict(each) for each in await tenant.prices.missing()]

    found = run_once(run())
    if as_json:
        print_json(found)
        return
    columns = ("provider", "model", "tier", "messages", "tokens", "first", "last")
    rows = [
        [f"{each[name]:%Y-%m-%d}" if name in ("first", "last") else each[name] for name in columns]
        for each in found
    ]
    print_table("Models without a price", columns, rows)


def _print(rows: Iterable[PriceRow], title: str) -> None:
    print_table(
        title,
        _COLUMNS,
        [
            (
                f"{row.provider}/{row.model}" + (f", {row.tier}" if row.tier != STANDARD else ""),
                row.token_class.value + (f" above {row.above:,}" if row.above else ""),
                f"{shown(row.unit_price)} {row.currency}/{_PER[UNIT[row.token_class]]}",
                _holds(row),
                f"{row.known_from:%Y-%m-%d}",
                row.source,
            )
            for row in rows
        ],
    )


def _holds(row: PriceRow) -> str:
    begin = "always" if row.valid_from is None else f"from {row.valid_from:%Y-%m-%d}"
    end = "" if row.valid_to is None else f" to {row.valid_to:%Y-%m-%d}"
    return f"{begin}{end}" + (f", {row.hours} UTC" if row.hours else "")


def _plain(row: PriceRow) -> dict[str, Any]:
    values = asdict(row) | {"unit_price": shown(row.unit_price), "unit": UNIT[row.token_class]}
    return {name: value for name, value in values.items() if name != "pattern"}
