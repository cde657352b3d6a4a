"""The names of providers and of their tiers of service, brought to one spelling."""

from __future__ import annotations

STANDARD = "standard"
"""The tier of a call that names none."""

PROVIDERS = {
    "claude": "anthropic",
    "gemini": "google",
    "google-gla": "google",
    "google-genai": "google",
    "google-vertex": "google",
    "vertexai": "google",
    "vertex_ai": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "bedrock": "aws",
    "aws-bedrock": "aws",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azureopenai": "azure",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "lm-studio": "lmstudio",
    "lm_studio": "lmstudio",
    "lm studio": "lmstudio",
    "llama.cpp": "llamacpp",
    "openai-responses": "openai",
}

TIERS = {
    "default": STANDARD,
    "auto": STANDARD,
    "standard_only": STANDARD,
    "on_demand": STANDARD,
    "on-demand": STANDARD,
}

LOCAL = ("lmstudio", "llamacpp", "ollama", "vllm", "scripted")
"""Providers that run on one's own machine; nobody sends a bill."""


FALLBACKS = {
    "azure": ("openai", "anthropic", "deepseek", "x-ai", "moonshotai"),
    "google": ("anthropic",),
}
"""Providers that sell others' models at the others' prices, unless they have a price themselves."""


def provider_of(name: str | None) -> str | None:
    """Return a provider's canonical name, in small letters."""
    if not name:
        return None
    plain = name.strip().lower()
    return PROVIDERS.get(plain, plain)


def tier_of(name: str | None) -> str | None:
    """Return a tier's canonical name, in small letters; None when none is named."""
    if not name:
        return None
    plain = name.strip().lower()
    return TIERS.get(plain, plain)
