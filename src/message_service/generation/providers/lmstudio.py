"""LM Studio, and any other local server that speaks OpenAI's protocol (llama.cpp, vLLM, Ollama).

`message-service llm serve` is one of them.
"""

from __future__ import annotations

from message_service.generation.openai_chat import OpenAIChat
from message_service.generation.provider import ProviderKind

LMSTUDIO = ProviderKind(
    name="lmstudio",
    make=lambda access: OpenAIChat("lmstudio", access, "max_tokens"),
    key_needed=False,
    local=True,
)
