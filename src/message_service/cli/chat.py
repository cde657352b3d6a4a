"""`chat`: a conversation with a model in the terminal."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import typer

from message_service import errors
from message_service.cli.chat_commands import COMMANDS, Chat, Left
from message_service.cli.context import connected_service, console, target_of
from message_service.cli.generation import (
    ContextOption,
    MaxTokensOption,
    ModelOption,
    ProviderOption,
    WindowOption,
    chosen,
)
from message_service.cli.numbers import number
from message_service.cli.running import Interrupts, run_interactive
from message_service.documents.job import JobType
from message_service.service import MessageService
from message_service.stopping import StopSignal

_ENDED = ""
"""What a line is at the end of the input; other lines end with a line feed."""


def chat(
    ctx: typer.Context,
    conversation: Annotated[str, typer.Argument(help="Conversation id.")],
    user: Annotated[
        str | None, typer.Option(help="Create the conversation for this user if there is none.")
    ] = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    temperature: Annotated[
        float | None, number(float, 0, 10, "0 chooses the likeliest words.")
    ] = None,
    max_tokens: MaxTokensOption = None,
    context_tokens: ContextOption = None,
    window: WindowOption = None,
) -> None:
    """Chat with a model; /help lists what else can be done.

    Ctrl-C stops a reply, and keeps what it has said. Between replies it ends the chat, as the end
    of the input does. Without a running worker the replies are made in this process.
    """
    options = chosen(
        llm_provider=provider,
        model=model,
        temperature=temperature,
        max_tokens=max_tokens,
        context_tokens=context_tokens,
        context_window_size=window,
    )

    async def run(stop: StopSignal, interrupts: Interrupts) -> None:
        async with connected_service(ctx) as service:
            tenant = service.tenant(target_of(ctx).tenant)
            with suppress(errors.NotFound, errors.ContextBudgetTooSmall):
                # An option that is wrong is wrong for every reply: nothing begins with it.
                await tenant.replies.preview(conversation, **options)
            if user is not None:
                await tenant.conversations.create(user, conversation_id=conversation, exist_ok=True)
            chatting = Chat(tenant, conversation, options, interrupts)
            await chatting.begin()
            async with _made_here(service):
                await _talk(chatting, stop)

    run_interactive(run)


@asynccontextmanager
async def _made_here(service: MessageService) -> AsyncGenerator[None]:
    """Run a worker for the replies, if none is running."""
    listening = await service.queue.listening()
    if any(JobType.LLM_GENERATION.value in worker.job_types for worker in listening):
        yield
        return
    stop = StopSignal()
    working = asyncio.create_task(service.worker([JobType.LLM_GENERATION.value]).run(stop))
    try:
        yield
    finally:
        stop.request()
        await asyncio.wait((working,))
        working.result()


async def _talk(chatting: Chat, stop: StopSignal) -> None:
    lines = _Lines()
    shown = sys.stdin.isatty()
    while not stop.requested:
        if shown:
            console.print("you> ", end="", style="bold", markup=False)
            console.file.flush()
        line = await stop.race(lines.next())
        if not line:
            if shown:
                console.print("")
            return
        text = line.strip()
        if not text:
            continue
        try:
            if text.startswith("/"):
                await _command(chatting, text)
            else:
                await chatting.say(text)
        except Left:
            return
        except errors.Unavailable:
            raise
        except errors.MessageServiceError as error:
            console.print(f"({error.message})", style="yellow", markup=False, soft_wrap=True)


async def _command(chatting: Chat, text: str) -> None:
    name, _, rest = text[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        known = ", ".join(f"/{each}" for each in COMMANDS)
        raise errors.InvalidInput("command", f"/{name} is not known", f"Use one of: {known}")
    await command.run(chatting, rest.strip())


class _Lines:
    """The lines of standard input, read in a thread of their own: a wait for one can be given up.

    Nothing waits for the thread at the end: it may be in the middle of a line for ever.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[str] = asyncio.Queue()
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    async def next(self) -> str:
        """Return the next line; `_ENDED` when there is none."""
        return await self._came.get()

    def _read(self) -> None:
        while True:
            try:
                line = sys.stdin.readline()
            except (OSError, ValueError):  # closed, or no text
                line = _ENDED
            try:
                self._loop.call_soon_threadsafe(self._came.put_nowait, line)
            except RuntimeError:  # the loop has ended
                return
            if not line:
                return
