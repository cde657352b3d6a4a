"""OpenAI's usage blocks: chat completions, responses and realtime, and all who follow them.

Cached and audio tokens are inside the prompt, reasoning tokens inside the completion
(platform.openai.com/docs/api-reference, objects "chat completion" and "response"). xAI counts
reasoning beside the completion, which the total shows (docs.x.ai, "Reasoning"). DeepSeek tells hits
and misses of its cache in fields of their own (api-docs.deepseek.com, "Context caching").
"""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape

_NAMES = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
)

_BESIDE = ("x-ai",)
"""Providers whose completion does not hold the reasoning; the total tells, if there is one."""


def _read(block: Block) -> Counts | None:
    given, made = _NAMES[0] if block.has(*_NAMES[0]) else _NAMES[1]
    prompt, completion = block.count(given), block.count(made)
    if prompt is None and completion is None:
        return None
    for name, value in ((given, prompt), (made, completion)):
        # Embeddings and moderation report no completion at all.
        if value is None and (name == given or block.has(made)):
            block.problems.append(f"{name} is missing")
    return _prompt(block, given, prompt or 0) | _completion(
        block, made, prompt or 0, completion or 0
    )


def _prompt(block: Block, name: str, prompt: int) -> dict[C, int]:
    details = _details(block, name)
    cached = details.count("cached_tokens")
    if cached is None:
        cached = block.count(
            "prompt_cache_hit_tokens", "cached_tokens", "cached_prompt_text_tokens"
        )
    miss = block.count("prompt_cache_miss_tokens")
    if miss is not None:
        block.differ(name, prompt, miss + (cached or 0))
    audio = details.count("audio_tokens") or 0
    image = details.count("image_tokens") or 0
    written = details.count("cache_write_tokens", "cache_creation_tokens") or 0
    cached = block.within("cached tokens", cached or 0, name, prompt)
    written = block.within("cache writes", written, "the rest of the prompt", prompt - cached)
    if not audio and not image:
        return {
            C.INPUT: prompt - cached - written,
            C.CACHED_INPUT: cached,
            C.CACHE_WRITE_5M: written,
        }
    by_kind = details.inside("cached_tokens_details")
    audio = block.within("audio tokens", audio, name, prompt)
    cached_audio = by_kind.count("audio_tokens")
    if cached_audio is None:  # then as few as possible
        cached_audio = max(0, cached + audio - prompt)
    cached_audio = block.within("cached audio tokens", cached_audio, "both", min(cached, audio))
    fresh_image = max(0, image - (by_kind.count("image_tokens") or 0))
    rest = prompt - cached - written - (audio - cached_audio)
    fresh_image = block.within("image tokens", fresh_image, "the rest of the prompt", max(0, rest))
    return {
        C.INPUT: max(0, rest - fresh_image),
        C.CACHED_INPUT: cached - cached_audio,
        C.CACHE_WRITE_5M: written,
        C.AUDIO_INPUT: audio - cached_audio,
        C.CACHED_AUDIO_INPUT: cached_audio,
        C.IMAGE_INPUT: fresh_image,
    }


def _completion(block: Block, name: str, prompt: int, completion: int) -> dict[C, int]:
    details = _details(block, name)
    reasoning = details.count("reasoning_tokens")
    if reasoning is None:
        reasoning = block.count("reasoning_tokens") or 0
    total = block.count("total_tokens")
    beside = total == prompt + completion + reasoning
    if reasoning and (beside or (total is None and block.provider in _BESIDE)):
        completion += reasoning
    block.differ("total_tokens", total, prompt + completion)
    reasoning = block.within("reasoning tokens", reasoning, name, completion)
    audio = details.count("audio_tokens") or 0
    audio = block.within("audio tokens", audio, "the rest of the reply", completion - reasoning)
    image = details.count("image_tokens") or 0
    rest = completion - reasoning - audio
    image = block.within("image tokens", image, "the rest of the reply", rest)
    searches = block.inside("server_side_tool_usage_details").count("web_search_calls")
    return {
        C.REASONING: reasoning,
        C.AUDIO_OUTPUT: audio,
        C.IMAGE_OUTPUT: image,
        C.OUTPUT: rest - image,
        C.WEB_SEARCH: searches or 0,
    }


def _details(block: Block, name: str) -> Block:
    # Realtime writes `input_token_details` where the others have `input_tokens_details`.
    realtime = f"{name.removesuffix('s')}_details"
    return block.inside(realtime if block.has(realtime) else f"{name}_details")


OPENAI = Shape(
    name="openai",
    recognises=lambda block: block.has(*_NAMES[0], *_NAMES[1]),
    read=_read,
    order=50,
)
