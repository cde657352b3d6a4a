"""Providers that speak OpenAI's chat completions, through OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from message_service import errors
from message_service.documents.parts import ToolCall
from message_service.generation import http_failures
from message_service.generation.provider import (
    Answering,
    CallDelta,
    Event,
    Finished,
    ModelInfo,
    ModelRequest,
    ProviderAccess,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Turn,
    Used,
)

_NO_KEY = "none"
"""Sent to servers that want no key: the SDK insists on one."""


class OpenAIChat:
    """A provider that speaks OpenAI's protocol.

    Args:
        name: Its name.
        access: How it is reached.
        limit: The name by which it wants the most tokens of an answer.

    Raises:
        Unsupported: The SDK is not installed.
    """

    def __init__(
        self,
        name: str,
        access: ProviderAccess,
        limit: Literal["max_tokens", "max_completion_tokens"],
    ) -> None:
        try:
            import httpx2
            import openai
        except ImportError:
            raise errors.Unsupported(
                f"{name}: the package openai is not installed; "
                f"pip install 'message-service[{name}]'"
            ) from None
        self._name = name
        self._limit = limit
        self._sdk = openai
        self._client: Any = openai.AsyncOpenAI(
            api_key=_NO_KEY if access.api_key is None else access.api_key.get_secret_value(),
            base_url=access.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=access.connect_timeout),
        )
        self._ask = self._client.chat.completions.create

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """Ask a model, and yield its answer."""
        begun = False
        try:
            answer: Any = await self._ask(**self._body(request))
            begun = True
            try:
                http_failures.check_stream(self._name, request.model, answer.response.headers)
                reason: str | None = None
                named = False
                async for chunk in answer:
                    if not named:
                        named = True
                        yield Answering(chunk.model or None, chunk.id or None)
                    for event in self._events(chunk):
                        if isinstance(event, Finished):
                            reason = event.reason
                        else:
                            yield event
                if reason is not None:
                    yield Finished(reason)
            finally:
                await answer.close()
        except errors.ProviderFailed:
            raise
        except Exception as error:
            raise http_failures.of_sdk(
                self._sdk, error, self._name, request.model, begun=begun
            ) from None

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models it offers."""
        try:
            page = await self._client.models.list()
            return [_model(model.id, model.model_extra or {}) for model in page.data]
        except Exception as error:
            raise http_failures.of_sdk(self._sdk, error, self._name, None, begun=False) from None

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        sampling = request.sampling
        wanted: dict[str, Any] = {
            self._limit: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            "stop": list(sampling.stop_sequences) or None,
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in request.tools
            ]
            or None,
        }
        return {
            "model": request.model,
            "messages": [_message(turn) for turn in request.turns],
            "stream": True,
            "stream_options": {"include_usage": True},
            **{name: value for name, value in wanted.items() if value is not None},
        }

    def _events(self, chunk: Any) -> Iterator[Event]:
        """Return what a chunk says; the SDK checks no types, so a wrong one fails here."""
        if chunk.usage is not None:
            yield Used(chunk.usage.model_dump(exclude_none=True))
        for choice in chunk.choices or ():
            delta = choice.delta
            extra: dict[str, Any] = delta.model_extra or {}
            thought = extra.get("reasoning_content") or extra.get("reasoning")
            if isinstance(thought, str):
                yield ReasoningDelta(thought)
            if delta.content:
                yield TextDelta(_text(delta.content))
            if delta.refusal:
                yield RefusalDelta(_text(delta.refusal))
            for call in delta.tool_calls or ():
                function = call.function
                yield CallDelta(
                    int(call.index),
                    call.id,
                    None if function is None else function.name,
                    _text((function and function.arguments) or ""),
                )
            if choice.finish_reason is not None:
                yield Finished(_text(choice.finish_reason))


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [_call(call) for call in turn.calls]
        message["content"] = turn.text or None
    if turn.call_id is not None:
        message["tool_call_id"] = turn.call_id
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _model(name: str, extra: Mapping[str, Any]) -> ModelInfo:
    """Return a model; local servers say how long its context is, each under a name of its own."""
    meta = cast("dict[str, Any]", extra.get("meta") or {})
    lengths = (
        extra.get("max_context_length"),
        extra.get("max_model_len"),
        meta.get("n_ctx") if isinstance(meta, dict) else None,  # pyright: ignore[reportUnnecessaryIsInstance]
    )
    for length in lengths:
        if isinstance(length, int) and length > 0:
            return ModelInfo(name, length)
    return ModelInfo(name)
