"""A few messages that are summarised, and the names they bear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Tenant
from message_service.documents.row import Row

Database = AsyncDatabase[Row]
USER, OTHER = "user_000000000001", "user_000000000002"
LUNA = "char_000000000001"
LLM = {"provider": "OpenAI", "model": "gpt-4o"}
MONDAY = datetime(2026, 3, 30, 9, tzinfo=UTC)


async def say(
    tenant: Tenant | MessageService, conversation: str, at: datetime, **fields: Any
) -> str:
    role, text = fields.pop("role", "assistant"), fields.pop("text", "x")
    done = await tenant.messages.append(conversation, role, text, created_at=at, **fields)
    return done.message_id


async def filled(service: MessageService) -> str:
    conversation = (await service.conversations.create(USER, character_id=LUNA)).conversation_id
    for day, tokens in ((0, 10), (0, 30), (2, 5)):
        await say(
            service,
            conversation,
            MONDAY + timedelta(days=day),
            llm_metadata=LLM,
            token_usage={
                "total_tokens": tokens,
                "prompt_tokens": tokens,
                "total_cost": f"0.{tokens}",
                "cost_currency": "USD",
            },
            processing_metadata={"total_latency_ms": tokens * 100},
        )
    await say(service, conversation, MONDAY, role="user", text="two words", user_id=OTHER)
    await service.rollups.drain()
    return conversation
