"""`server`: the local mongod, for users who have no MongoDB of their own."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    console,
    print_json,
    progress_console,
    target_of,
)
from message_service.cli.running import run_once
from message_service.local_server.manager import LocalServer, LocalServerManager

EXIT_NOT_RUNNING = 3

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

app = typer.Typer(no_args_is_help=True)

DirectoryOption = Annotated[
    Path | None,
    typer.Option("--dir", help="Data, log and state; default: MESSAGE_SERVICE_LOCAL_SERVER_DIR."),
]


@app.command("start")
def start(
    ctx: typer.Context,
    directory: DirectoryOption = None,
    port: Annotated[
        str | None, typer.Option(help="Port on 127.0.0.1, or ports to choose from: 27500-27599.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start the local server, unless it runs already, and print its connection string."""
    ports = None if port is None else _ports(port)
    server = run_once(_manager(ctx, directory).start(port=ports))
    for note in server.notes:
        progress_console.print(f"note: {note}", markup=False, soft_wrap=True)
    _show(server, as_json)


@app.command("stop")
def stop(
    ctx: typer.Context, directory: DirectoryOption = None, as_json: JsonOption = False
) -> None:
    """Stop the local server; its data is kept."""
    stopped = run_once(_manager(ctx, directory).stop())
    if as_json:
        print_json({"stopped": stopped is not None, **({} if stopped is None else asdict(stopped))})
    elif stopped is None:
        console.print("not running")
    elif stopped.killed:
        console.print(
            f"killed (pid {stopped.pid}): it did not stop in time; "
            "the next start recovers its data",
            soft_wrap=True,
        )
    else:
        console.print(f"stopped (pid {stopped.pid})")


@app.command("status")
def status(
    ctx: typer.Context, directory: DirectoryOption = None, as_json: JsonOption = False
) -> None:
    """Show the local server; exit code 3 when it does not run."""
    server = run_once(_manager(ctx, directory).status())
    if server is not None:
        _show(server, as_json)
        return
    if as_json:
        print_json({"running": False})
    else:
        console.print("not running")
    raise typer.Exit(EXIT_NOT_RUNNING)


def _manager(ctx: typer.Context, directory: Path | None) -> LocalServerManager:
    settings = target_of(ctx).settings
    return LocalServerManager(directory or settings.local_server_dir, settings.mongod)


def _ports(text: str) -> int | range:
    found = _PORTS.fullmatch(text)
    if found is None:
        raise errors.InvalidInput(
            "port", f"{text!r} is neither a port nor a range", "Write 27500 or 27500-27599"
        )
    first, last = found.groups()
    return int(first) if last is None else range(int(first), int(last) + 1)


def _show(server: LocalServer, as_json: bool) -> None:
    facts = asdict(server)
    if as_json:
        print_json({"running": True, **facts})
        return
    for name in ("uri", "pid", "version", "binary", "data_dir", "log", "started_at"):
        console.print(f"{name:<10}  {facts[name]}", markup=False, highlight=False, soft_wrap=True)
