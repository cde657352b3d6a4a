"""OpenAI."""

from __future__ import annotations

from message_service.generation.openai_chat import OpenAIChat
from message_service.generation.provider import ProviderKind

OPENAI = ProviderKind(
    name="openai",
    # Reasoning models refuse the older `max_tokens`.
    make=lambda access: OpenAIChat("openai", access, "max_completion_tokens"),
)
