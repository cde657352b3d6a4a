"""The part of the demo about money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from message_service.cli.context import console
from message_service.cli.usage_table import UsageTable
from message_service.clock import SystemClock
from message_service.ids import IdKind, derived_id
from message_service.service import Tenant

_REPLIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "openai",
        "gpt-4o",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920},
        },
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        {
            "input_tokens": 40,
            "cache_creation_input_tokens": 1200,
            "cache_read_input_tokens": 6000,
            "output_tokens": 510,
        },
    ),
    (
        "google",
        "gemini-2.5-flash",
        {
            "promptTokenCount": 900,
            "candidatesTokenCount": 120,
            "thoughtsTokenCount": 700,
            "totalTokenCount": 1720,
        },
    ),
    ("lmstudio", "smollm2", {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79}),
    ("openai", "gpt-4o", {}),
)
"""Replies with the usage blocks of four providers; the last one's stream broke off."""


async def show_usage(tenant: Tenant) -> None:
    """Store replies with their usage, explain a cost, and report all of them."""
    console.rule("What replies cost")
    conversation = await tenant.conversations.create(
        derived_id(IdKind.USER, "demo"),
        conversation_id=derived_id(IdKind.CONVERSATION, "demo costs"),
        title="Costs",
        exist_ok=True,
    )
    place = conversation.conversation_id
    first = ""
    for number, (provider, model, usage) in enumerate(_REPLIES):
        done = await tenant.messages.append(
            place,
            "assistant",
            f"A reply by {model}.",
            client_msg_id=f"cost-{number}",
            llm_metadata={"provider": provider, "model": model},
            usage=usage,
        )
        first = first or done.message_id
    explained = await tenant.usage.explain(place, first)
    for line in explained.text():
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    by = ("provider", "model")
    table = UsageTable(by, "What is not known is counted apart, never as zero", detailed=False)
    until = SystemClock().now() + timedelta(minutes=1)
    await table.take(
        tenant.usage.report(
            conversation.created_at - timedelta(minutes=1), until, by, conversation_id=place
        )
    )
    table.print()
