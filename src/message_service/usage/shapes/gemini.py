"""Gemini's `usageMetadata`, in the spelling of the API or of its Python package.

Cached tokens are inside the prompt. The prompt of tool use and the thoughts are beside prompt and
candidates, and `totalTokenCount` is the sum of all four (ai.google.dev/api/generate-content,
`UsageMetadata`).
"""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape


def _either(block: Block, name: str) -> int | None:
    return block.count(name, _snake(name))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _modality(block: Block, name: str, *modalities: str) -> int:
    told = block.listed(name, "modality", "tokenCount") or block.listed(
        _snake(name), "modality", "token_count"
    )
    return sum(told.get(modality, 0) for modality in modalities)


def _read(block: Block) -> Counts | None:
    asked, made = _either(block, "promptTokenCount"), _either(block, "candidatesTokenCount")
    total = _either(block, "totalTokenCount")
    if asked is None and made is None and total is None:
        return None
    if asked is None:
        block.problems.append("promptTokenCount is missing")
    asked, made = asked or 0, made or 0
    thoughts = _either(block, "thoughtsTokenCount") or 0
    tools = _either(block, "toolUsePromptTokenCount") or 0
    block.differ("totalTokenCount", total, asked + made + thoughts + tools)
    cached = _either(block, "cachedContentTokenCount") or 0
    cached = block.within("cached tokens", cached, "promptTokenCount", asked)
    audio = _modality(block, "promptTokensDetails", "AUDIO")
    audio = block.within("audio tokens", audio, "promptTokenCount", asked)
    cached_audio = _modality(block, "cacheTokensDetails", "AUDIO")
    cached_audio = block.within("cached audio tokens", cached_audio, "both", min(cached, audio))
    fresh_audio = audio - cached_audio
    plain = block.within("audio and cached tokens", fresh_audio, "the prompt", asked - cached)
    spoken = _modality(block, "candidatesTokensDetails", "AUDIO")
    spoken = block.within("audio tokens", spoken, "candidatesTokenCount", made)
    drawn = _modality(block, "candidatesTokensDetails", "IMAGE")
    drawn = block.within("image tokens", drawn, "the rest of the candidates", made - spoken)
    return {
        C.INPUT: asked - cached - plain + tools,
        C.CACHED_INPUT: cached - cached_audio,
        C.AUDIO_INPUT: plain,
        C.CACHED_AUDIO_INPUT: cached_audio,
        C.OUTPUT: made - spoken - drawn,
        C.REASONING: thoughts,
        C.AUDIO_OUTPUT: spoken,
        C.IMAGE_OUTPUT: drawn,
    }


GEMINI = Shape(
    name="gemini",
    recognises=lambda block: block.has(
        "promptTokenCount", "prompt_token_count", "totalTokenCount", "total_token_count"
    ),
    read=_read,
)
