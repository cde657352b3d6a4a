"""`server`: the local mongod."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.cli.context import JsonOption, console, print_json, print_table, target_of
from message_service.database.local_server import LocalServer, LocalServerManager

app = typer.Typer(no_args_is_help=True)

DirectoryOption = Annotated[
    Path | None, typer.Option("--dir", help="Its directory; without it, the user's data directory.")
]


def _manager(ctx: typer.Context, directory: Path | None) -> LocalServerManager:
    settings = target_of(ctx).settings
    return LocalServerManager(directory or settings.local_server_dir, settings.mongod)


def _show(server: LocalServer, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(server))
    else:
        print_table("Local server", ("field", "value"), asdict(server).items())


@app.command("start")
def start(
    ctx: typer.Context,
    directory: DirectoryOption = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Loopback port.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Start the local server, or show the one that runs."""
    _show(asyncio.run(_manager(ctx, directory).start(port=port)), as_json=as_json)


@app.command("stop")
def stop(
    ctx: typer.Context, directory: DirectoryOption = None, as_json: JsonOption = False
) -> None:
    """Stop the local server; its data stays."""
    stopped = asyncio.run(_manager(ctx, directory).stop())
    if as_json:
        print_json({"stopped": stopped})
    else:
        console.print("stopped" if stopped else "it was not running")


@app.command("status")
def status(
    ctx: typer.Context, directory: DirectoryOption = None, as_json: JsonOption = False
) -> None:
    """Show the local server; exit code 3 when it does not run."""
    server = asyncio.run(_manager(ctx, directory).status())
    if server is None:
        raise errors.NotFound("running server in", str(directory or "the default directory"))
    _show(server, as_json=as_json)
