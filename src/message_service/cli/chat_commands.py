"""What can be done in a chat: say something, and the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from message_service import errors
from message_service.cli.context import console
from message_service.cli.replies_shown import show_reply
from message_service.cli.running import Interrupts
from message_service.clock import SystemClock
from message_service.documents.message import Message, Role
from message_service.enrichment.text_statistics import sanitize
from message_service.generation.reply_status import Reply
from message_service.messages.rows import StoredMessage
from message_service.stopping import end_tasks
from message_service.tenant import Tenant

_SHOWN_AT_FIRST = 6
_FEW = 5


class Left(Exception):
    """The chat is to end."""


class Chat:
    """A chat.

    Args:
        tenant: The tenant.
        conversation_id: The conversation.
        options: How replies are made (`ReplyOptions`).
        interrupts: Takes Ctrl-C while a reply is said.
    """

    def __init__(
        self,
        tenant: Tenant,
        conversation_id: str,
        options: Mapping[str, Any],
        interrupts: Interrupts,
    ) -> None:
        self.tenant = tenant
        self.conversation_id = conversation_id
        self.options = dict(options)
        self._interrupts = interrupts

    async def begin(self) -> None:
        """Show the end of the conversation.

        Raises:
            NotFound: There is no such conversation.
        """
        page = await self.tenant.messages.history(
            self.conversation_id, direction="backward", limit=_SHOWN_AT_FIRST
        )
        for message in reversed(page.items):
            self.show(message)

    def show(self, message: StoredMessage) -> None:
        """Show a stored message."""
        console.print(f"{message.role}> ", end="", style="bold", markup=False)
        console.print(sanitize(message.text), markup=False, highlight=False, soft_wrap=True)

    async def say(self, text: str) -> None:
        """Append what the user says, and show the reply."""
        await self.tenant.messages.append(self.conversation_id, "user", text)
        await self.answer(await self.tenant.replies.request(self.conversation_id, **self.options))

    async def answer(self, reply: Reply) -> None:
        """Show a reply while it is said; Ctrl-C stops it."""
        console.print("assistant> ", end="", style="bold", markup=False)
        console.file.flush()
        with self._interrupts.taken() as interrupted:
            stopping = asyncio.create_task(self._stop(reply, interrupted))
            try:
                last = await show_reply(self.tenant.replies.follow(reply.reply_id), console)
            finally:
                await end_tasks((stopping,))
        if last.kind != "end" or last.message_id is None:
            raise errors.JobFailed(last.problem or f"no reply: {last.reason}", reason=last.reason)
        message = await self.tenant.messages.get(self.conversation_id, last.message_id)
        console.print(facts_of(message.document()), style="dim", markup=False, highlight=False)

    async def _stop(self, reply: Reply, interrupted: asyncio.Event) -> None:
        await interrupted.wait()
        try:
            await self.tenant.replies.cancel(reply.reply_id)
        except errors.Conflict:
            return  # it has just ended

    async def last(self, role: Role) -> StoredMessage:
        """Return the last message of a role on the active branch.

        Raises:
            NotFound: There is none among the newest.
        """
        page = await self.tenant.messages.history(
            self.conversation_id, direction="backward", limit=100
        )
        for message in page.items:
            if message.role == role:
                return message
        raise errors.NotFound("message of", role.value)


def facts_of(message: Message) -> str:
    """Return tokens, cost and times of a reply in one line."""
    said: list[str] = []
    usage, times = message.token_usage, message.processing_metadata
    if usage is not None and usage.total_tokens is not None:
        said.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
    else:
        said.append("tokens not reported")
    if usage is not None and usage.total_cost is not None:
        said.append(f"{usage.cost_currency} {usage.total_cost.normalize():f}")
    else:
        said.append("cost not known")
    if times is not None:
        if times.time_to_first_token_ms is not None:
            said.append(f"first word after {times.time_to_first_token_ms / 1000:.2f} s")
        if times.llm_processing_time_ms is not None:
            said.append(f"{times.llm_processing_time_ms / 1000:.2f} s in all")
    return f"({', '.join(said)})"


async def _regenerate(chat: Chat, _rest: str) -> None:
    """Make another reply in the place of the last one."""
    await chat.answer(await chat.tenant.replies.regenerate(chat.conversation_id, **chat.options))


async def _swipe(chat: Chat, rest: str) -> None:
    """Show the next reply to the same message, or another one; after the last, make one."""
    try:
        step = int(rest or "1")
    except ValueError:
        raise errors.InvalidInput(
            "step", f"{rest!r} is not a whole number", "Say 1 or -1"
        ) from None
    try:
        chosen = await chat.tenant.replies.swipe(chat.conversation_id, step)
    except errors.Conflict:
        if step != 1:
            raise
        await _regenerate(chat, "")
        return
    chat.show(chosen.message)


async def _branch(chat: Chat, rest: str) -> None:
    """List the branches, or go to one."""
    if rest:
        await chat.tenant.conversations.patch(chat.conversation_id, active_branch=rest)
        await chat.begin()
        return
    for branch in await chat.tenant.messages.branches(chat.conversation_id):
        leaves = "" if branch.parent is None else f", leaves {branch.parent} after number "
        after = "" if branch.parent is None else str(branch.fork_sequence)
        mark = "* " if branch.active else "  "
        console.print(f"{mark}{branch.name}{leaves}{after}", markup=False, highlight=False)


async def _edit(chat: Chat, rest: str) -> None:
    """Say something else in the place of your last message, on a branch of its own."""
    if not rest:
        raise errors.InvalidInput("text", "is missing", "Say /edit and the new text")
    last = await chat.last(Role.USER)
    page = await chat.tenant.messages.history(
        chat.conversation_id,
        branch=last.branch,
        direction="backward",
        before=last.sequence_number,
        limit=1,
    )
    before = page.items[0].message_id if page.items else None
    branch = await chat.tenant.messages.branch(chat.conversation_id, before)
    await chat.tenant.conversations.patch(chat.conversation_id, active_branch=branch.name)
    await chat.say(rest)


async def _undo(chat: Chat, _rest: str) -> None:
    """Delete your last message and the reply to it."""
    last = await chat.last(Role.USER)
    page = await chat.tenant.messages.history(
        chat.conversation_id, after=last.sequence_number - 1, limit=100
    )
    for message in reversed(page.items):
        await chat.tenant.messages.delete(chat.conversation_id, message.message_id)
    console.print(f"({len(page.items)} messages deleted)", style="dim", markup=False)


async def _continue(chat: Chat, _rest: str) -> None:
    """Let the model go on with its last reply."""
    await chat.answer(await chat.tenant.replies.continue_(chat.conversation_id, **chat.options))


async def _cost(chat: Chat, _rest: str) -> None:
    """Show what the conversation has used and cost, all branches together."""
    made = await chat.tenant.conversations.get(chat.conversation_id)
    until = SystemClock().now() + timedelta(days=1)
    since = max(made.created_at - timedelta(days=1), until - timedelta(days=3_650))
    rows = chat.tenant.usage.report(since, until, conversation_id=chat.conversation_id)
    async for row in rows:
        costs = [f"{currency} {spent.total.normalize():f}" for currency, spent in row.costs.items()]
        console.print(
            f"({row.prompt_tokens} + {row.completion_tokens} tokens in {row.with_usage} replies, "
            f"{', '.join(costs) or 'no cost known'})",
            style="dim",
            markup=False,
            highlight=False,
        )


async def _search(chat: Chat, rest: str) -> None:
    """Find messages of this conversation."""
    found = await chat.tenant.search.find(rest, conversation_id=chat.conversation_id, limit=_FEW)
    for hit in found.hits:
        text = sanitize(hit.message.text).replace("\n", " ")[:100]
        console.print(
            f"{hit.message.sequence_number} {hit.message.role}: {text}",
            markup=False,
            highlight=False,
        )
    for note in found.notes if not found.hits else ():
        console.print(f"({note})", style="dim", markup=False)


async def _help(_chat: Chat, _rest: str) -> None:
    """List the commands."""
    for name, command in COMMANDS.items():
        console.print(f"/{name:<11} {command.meaning}", markup=False, highlight=False)


async def _quit(_chat: Chat, _rest: str) -> None:
    """End the chat."""
    raise Left


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a chat; what it does is the first line of its function's description."""

    run: Callable[[Chat, str], Awaitable[None]]

    @property
    def meaning(self) -> str:
        """What it does."""
        return (self.run.__doc__ or "").partition("\n")[0]


COMMANDS: dict[str, Command] = {
    "regenerate": Command(_regenerate),
    "swipe": Command(_swipe),
    "branch": Command(_branch),
    "edit": Command(_edit),
    "undo": Command(_undo),
    "continue": Command(_continue),
    "cost": Command(_cost),
    "search": Command(_search),
    "help": Command(_help),
    "quit": Command(_quit),
}
"""Every command, by name."""
