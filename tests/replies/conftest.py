"""Conversations with a question, with and without a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import JobRegistry, MessageService, Settings
from message_service.documents.row import Row
from support.job_handlers import at_work
from support.reply_chat import USER, Chat


@pytest.fixture
async def idle(
    service: MessageService, mongo_uri: str, settings: Settings, database: AsyncDatabase[Row]
) -> AsyncIterator[Chat]:
    """A conversation with a question, and no worker."""
    async with await MessageService.connect(
        mongo_uri,
        settings=settings,
        database=database.name,
        registry=JobRegistry(),
        llm_provider="scripted",
        llm_between_tokens_timeout=5,
        queue_lease=2,
        queue_poll=0.1,
    ) as connected:
        made = await connected.conversations.create(USER)
        chat = Chat(connected, made.conversation_id)
        await chat.say("How are you, Luna?")
        yield chat


@pytest.fixture
async def chat(idle: Chat) -> AsyncIterator[Chat]:
    """A conversation with a question, and a worker."""
    async with at_work(idle.service):
        yield idle
