"""Shared parts of commands: the target given by the global options, connections, output."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from message_service.connection import connect
from message_service.database.client import Database
from message_service.documents.validation import checked
from message_service.service import MessageService, Tenant
from message_service.settings import Settings

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

console = Console()
progress_console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The settings and tenant a command works with."""

    settings: Settings
    tenant: str


def make_target(uri: str | None, database: str | None, tenant: str) -> Target:
    """Return the target of the global options over the environment's settings.

    Raises:
        InvalidInput: A setting is wrong.
    """
    # A command needs few connections; the pool's floor is for services.
    given: dict[str, Any] = {"min_pool_size": 0}
    if uri is not None:
        given["uri"] = uri
    if database is not None:
        given["database"] = database
    base = checked(Settings, {}).model_dump()
    return Target(checked(Settings, {**base, **given}), tenant)


def target_of(context: typer.Context) -> Target:
    """Return the command's target."""
    target: Target = context.find_root().obj
    return target


@asynccontextmanager
async def connected_service(context: typer.Context) -> AsyncGenerator[MessageService]:
    """Connect the service."""
    async with await MessageService.connect(settings=target_of(context).settings) as service:
        yield service


@asynccontextmanager
async def connected_tenant(context: typer.Context) -> AsyncGenerator[Tenant]:
    """Connect the service and enter the tenant of the global options."""
    async with connected_service(context) as service:
        yield service.tenant(target_of(context).tenant)


@asynccontextmanager
async def connected_database(context: typer.Context) -> AsyncGenerator[Database]:
    """Connect to the database as it is, without bringing it to the declared catalogue."""
    connected = await connect(target_of(context).settings)
    try:
        yield connected.database
    finally:
        await connected.close()


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain, indent=2) + "\n")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows as a table. Columns of days are not wrapped."""
    table = Table(title=title, title_justify="left")
    printed = [[*row] for row in rows]
    for place, column in enumerate(columns):
        days = all(type(row[place]) is date for row in printed)
        table.add_column(column, overflow="fold", no_wrap=bool(printed) and days)
    for row in printed:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table, markup=False)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)
