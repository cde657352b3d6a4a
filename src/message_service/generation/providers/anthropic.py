"""Anthropic, through its own SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import takewhile
from typing import Any

from message_service import errors
from message_service.generation import http_failures
from message_service.generation.provider import (
    Answering,
    CallDelta,
    Event,
    Finished,
    ModelInfo,
    ModelRequest,
    ProviderAccess,
    ProviderKind,
    ReasoningDelta,
    TextDelta,
    Turn,
    Used,
)

_NAME = "anthropic"

_MAX_TOKENS = 4_096
"""Most tokens of an answer when the caller names none: this provider insists on a number."""

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Anthropic:
    """Anthropic's messages API.

    Args:
        access: How it is reached.

    Raises:
        Unsupported: The SDK is not installed.
    """

    def __init__(self, access: ProviderAccess) -> None:
        try:
            import anthropic
            import httpx2
        except ImportError:
            raise errors.Unsupported(
                f"{_NAME}: the package anthropic is not installed; "
                f"pip install 'message-service[{_NAME}]'"
            ) from None
        self._sdk = anthropic
        self._client: Any = anthropic.AsyncAnthropic(
            api_key=None if access.api_key is None else access.api_key.get_secret_value(),
            base_url=access.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=access.connect_timeout),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """Ask a model, and yield its answer."""
        begun = False
        try:
            answer: Any = await self._client.messages.create(**_body(request))
            begun = True
            try:
                http_failures.check_stream(_NAME, request.model, answer.response.headers)
                reason: str | None = None
                ended = False
                async for event in answer:
                    for said in _events(event):
                        if isinstance(said, Finished):
                            reason = said.reason
                        else:
                            yield said
                    ended = ended or event.type == "message_stop"
                if ended and reason is not None:
                    yield Finished(reason)
            finally:
                await answer.close()
        except errors.ProviderFailed:
            raise
        except Exception as error:
            raise http_failures.of_sdk(
                self._sdk, error, _NAME, request.model, begun=begun
            ) from None

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models it offers."""
        try:
            page = await self._client.models.list(limit=100)
            return [ModelInfo(model.id, model.max_input_tokens) for model in page.data]
        except Exception as error:
            raise http_failures.of_sdk(self._sdk, error, _NAME, None, begun=False) from None

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()


ANTHROPIC = ProviderKind(name=_NAME, make=Anthropic, aliases=("claude",))


def _body(request: ModelRequest) -> dict[str, Any]:
    sampling = request.sampling
    first = [*takewhile(lambda turn: turn.role == "system", request.turns)]
    wanted: dict[str, Any] = {
        "system": "\n\n".join(turn.text for turn in first) or None,
        # Newer models choose their words alone, and the SDK has no names for these any longer;
        # older models still take them.
        "extra_body": {
            name: value
            for name, value in (("temperature", sampling.temperature), ("top_p", sampling.top_p))
            if value is not None
        }
        or None,
        "stop_sequences": list(sampling.stop_sequences) or None,
        "tools": [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": dict(tool.parameters),
            }
            for tool in request.tools
        ]
        or None,
    }
    return {
        "model": request.model,
        "messages": [_message(turn) for turn in request.turns[len(first) :]],
        "max_tokens": sampling.max_tokens or _MAX_TOKENS,
        "stream": True,
        **{name: value for name, value in wanted.items() if value is not None},
    }


def _message(turn: Turn) -> dict[str, Any]:
    if turn.role == "tool":
        result = {
            "type": "tool_result",
            "tool_use_id": turn.call_id,
            "content": turn.text,
            "is_error": turn.failed,
        }
        return {"role": "user", "content": [result]}
    if turn.role == "system":
        # Between other turns there is no system role: the user's side says it, marked.
        return {"role": "user", "content": f"<system>\n{turn.text}\n</system>"}
    blocks: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    blocks += (
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": json.loads(call.arguments or "{}"),
        }
        for call in turn.calls
    )
    return {"role": turn.role, "content": blocks}


def _events(event: Any) -> Iterator[Event]:
    """Return what an event says; the SDK checks no types, so a wrong one fails here."""
    match event.type:
        case "message_start":
            yield Answering(event.message.model, event.message.id)
            yield Used(event.message.usage.model_dump(exclude_none=True))
        case "content_block_start":
            block = event.content_block
            if block.type == "tool_use":
                yield CallDelta(event.index, block.id, block.name)
            elif block.type == "redacted_thinking":
                yield ReasoningDelta(encrypted=block.data)
        case "content_block_delta":
            delta = event.delta
            match delta.type:
                case "text_delta":
                    yield TextDelta(_text(delta.text))
                case "input_json_delta":
                    yield CallDelta(event.index, arguments=_text(delta.partial_json))
                case "thinking_delta":
                    yield ReasoningDelta(_text(delta.thinking))
                case "signature_delta":
                    yield ReasoningDelta(signature=_text(delta.signature))
                case _:
                    pass
        case "message_delta":
            yield Used(event.usage.model_dump(exclude_none=True))
            if event.delta.stop_reason is not None:
                reason = _text(event.delta.stop_reason)
                yield Finished(_REASONS.get(reason, reason))
        case _:
            pass


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value
