"""`attachments`: stores and fetches the files that messages refer to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from message_service.cli.context import JsonOption, connected_tenant, console, print_json
from message_service.cli.exporting import write_lines
from message_service.cli.running import run_loop, run_once
from message_service.stopping import StopSignal

app = typer.Typer(no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="Its pointer, a provider's pointer, or its digest.")]


@app.command("put")
def put(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file.")],
    name: Annotated[str | None, typer.Option(help="Its name; without it, the file's own.")] = None,
    mime_type: Annotated[str | None, typer.Option(help="Its MIME type.")] = None,
    pointer: Annotated[
        list[str] | None,
        typer.Option(help="A provider's pointer that messages have; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Store a file; print its pointer (with --json, the part for a message)."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            part = await tenant.attachments.put(
                file, name=name, mime_type=mime_type, pointers=pointer or []
            )
        if as_json:
            print_json(part.model_dump(mode="json", exclude_none=True))
        else:
            console.print(part.pointer, markup=False, highlight=False, soft_wrap=True)

    run_once(run())


@app.command("show")
def show(ctx: typer.Context, attachment: Which, as_json: JsonOption = False) -> None:
    """Show what is known of a stored file."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            found = await tenant.attachments.find(attachment)
        facts = asdict(found) | {"stored_at": found.stored_at.isoformat()}
        if as_json:
            print_json(facts)
            return
        for key, value in (facts | {"pointers": ", ".join(found.pointers)}).items():
            console.print(f"{key:<10}  {value}", markup=False, highlight=False, soft_wrap=True)

    run_once(run())


@app.command("get")
def get(
    ctx: typer.Context,
    attachment: Which,
    output: Annotated[Path, typer.Argument(help="File to write; '-' for standard output.")],
) -> None:
    """Write the bytes of a stored file; a file appears only when it is complete."""

    async def run(stop: StopSignal) -> int | None:
        async with connected_tenant(ctx) as tenant:
            return await write_lines(tenant.attachments.stream(attachment), output, stop)

    ended = run_loop(run)
    if ended.result is None:
        ended.check("stopped before everything was written; run it again")
