"""The port of a provider: what is asked of a model, and the events of its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from message_service.documents.parts import ToolCall

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
"""Why a model ended its answer. The design's `error`, and what this service adds to them
(`cancelled`, `interrupted`), is for answers that the model did not end."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a prompt.

    Attributes:
        role: Who says it.
        text: What is said.
        calls: The tool calls of an assistant's turn.
        call_id: Of a tool's turn: the call it answers.
        failed: Of a tool's turn: whether the tool failed.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call.

    Attributes:
        name: Its name.
        description: What it does, for the model.
        parameters: JSON schema of its arguments.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model chooses its words; None leaves it to the provider.

    Attributes:
        max_tokens: Most tokens of the answer.
        temperature: 0 (the likeliest words) upwards.
        top_p: Share of probability to choose from, 0 to 1.
        frequency_penalty: Against repeating words, the oftener the more.
        presence_penalty: Against words that were said at all.
        stop_sequences: Texts before which the answer ends.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        model: The model; empty for the one that the provider has loaded.
        turns: The prompt, in order.
        sampling: How it chooses its words.
        tools: The tools it may call.
    """

    model: str
    turns: Sequence[Turn]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True, slots=True)
class Answering:
    """The provider has begun to answer.

    Attributes:
        model: The model that answers, as the provider names it.
        request_id: The provider's name of the request.
    """

    model: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """A piece of a refusal."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's reasoning, or what proves it; as in `documents.parts.Reasoning`."""

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a tool call.

    Attributes:
        place: Which call of the answer it belongs to.
        id: The call's id, once it is known.
        name: The tool, once it is known.
        arguments: A piece of the arguments' JSON text.
    """

    place: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """The provider's usage block as it came, as far as it is known; a later one replaces it."""

    block: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The model has ended its answer; an answer without this one was cut off."""

    reason: str


Event = Answering | TextDelta | RefusalDelta | ReasoningDelta | CallDelta | Used | Finished
"""What a provider sends."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers.

    Attributes:
        name: Its name.
        context_tokens: How long prompt and answer may be together, if the provider says so.
    """

    name: str
    context_tokens: int | None = None


class Provider(Protocol):
    """A provider of models.

    Its calls raise `ProviderFailed` only, with a reason of `failures`. They do not try again and
    keep no time, except for the connect: `calling` does both for all of them.
    """

    def stream(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """Ask a model, and yield its answer."""
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """Return the models it offers."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """How a provider is reached.

    Attributes:
        base_url: Where; empty for the provider's own address.
        api_key: The key, if there is one.
        connect_timeout: Seconds a connection may take.
    """

    base_url: str
    api_key: SecretStr | None
    connect_timeout: float


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """The declaration of a provider, in its own file.

    Attributes:
        name: Its name, as in `llm_metadata.provider`.
        make: Makes one; raises `Unsupported` when the SDK is not installed.
        key_needed: Whether it does not answer without a key.
        aliases: Other names it is asked for by.
        local: Whether it runs on this machine or network, so that its tokens cost nothing.
    """

    name: str
    make: Callable[[ProviderAccess], Provider]
    key_needed: bool = True
    aliases: tuple[str, ...] = ()
    local: bool = False
