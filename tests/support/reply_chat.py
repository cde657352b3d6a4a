"""A conversation for tests of replies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from message_service import Message, MessageService, Reply, ReplyEvent, ReplyStatus
from support.waiting import soon

USER = "user_000000000001"


@dataclass
class Chat:
    """A conversation, and short words for what the tests do with it."""

    service: MessageService
    conversation: str = ""

    async def say(self, text: str, role: str = "user", **fields: Any) -> str:
        done = await self.service.messages.append(self.conversation, role, text, **fields)
        return done.message_id

    async def ask(self, script: str, **options: Any) -> Reply:
        return await self.service.replies.request(self.conversation, model=script, **options)

    async def ended(self, reply: Reply) -> ReplyStatus:
        return await soon("the reply", self.service.replies.wait(reply.reply_id))

    async def followed(self, reply: Reply, after: int = -1) -> list[ReplyEvent]:
        async def run() -> list[ReplyEvent]:
            follow = self.service.replies.follow(reply.reply_id, after=after)
            return [event async for event in follow]

        return await soon("the follower", run())

    async def seen(self, reply: Reply, text: str, after: int = -1) -> int:
        """Follow until a text has been said; return the offset."""

        async def run() -> int:
            said = ""
            async with aclosing(self.service.replies.follow(reply.reply_id, after=after)) as events:  # type: ignore[type-var]
                async for event in events:
                    said = "" if event.kind == "begin" else said + event.text
                    if text in said:
                        return event.offset
            raise AssertionError(f"ended, and said only {said!r}")

        return await soon(f"{text!r} to be said", run())

    async def texts(self, branch: str | None = None) -> list[str]:
        page = await self.service.messages.history(self.conversation, branch=branch)
        return [message.text for message in page.items]

    async def stored(self, reply: Reply) -> Message:
        message = await self.service.messages.get(self.conversation, reply.message_id)
        return message.document()


def said(events: Sequence[ReplyEvent]) -> str:
    """Return what a follower holds at the end."""
    text = ""
    for event in events:
        text = "" if event.kind == "begin" else text + (event.text if event.kind == "text" else "")
    return text
