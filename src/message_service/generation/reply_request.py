"""What a client may say about a reply, and how that is kept in its job."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from message_service import errors
from message_service.documents.fields import BranchName, Digest, Labels, MessageId, Name
from message_service.documents.validation import checked
from message_service.generation.calling import ModelChoice
from message_service.generation.endpoints import Endpoints
from message_service.generation.provider import Sampling, Tool
from message_service.generation.timing import Patience
from message_service.messages.context import MAX_MESSAGES
from message_service.settings import Settings

_AROUND = 30.0
"""Seconds an attempt may take besides the answer: for the prompt, and for storing the reply."""

_ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_Choice = Annotated[str, StringConstraints(pattern=r"^[^:]{1,64}:.{0,256}$")]


class OnInterruption(StrEnum):
    """What becomes of a reply that broke off, because its worker or its provider died.

    `restart` begins from nothing, which followers are told. `keep` stores what was said, with the
    finish reason `interrupted`.
    """

    RESTART = "restart"
    KEEP = "keep"


class ReplyKind(StrEnum):
    """`answer` answers the last message of the branch, `continuation` goes on with it."""

    ANSWER = "answer"
    CONTINUATION = "continuation"


class GivenTool(BaseModel):
    """A tool that the model may call; see `provider.Tool`."""

    model_config = ConfigDict(extra="forbid")

    name: _ToolName
    description: Annotated[str, StringConstraints(max_length=10_000)] = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})


class ReplyOptions(BaseModel):
    """How a reply is made; what is left out is taken from the settings.

    Attributes:
        llm_provider: The provider, by name or alias.
        model: The model; empty for the one that the provider has loaded.
        temperature: 0 (the likeliest words) upwards.
        max_tokens: Most tokens of the reply.
        top_p: Share of probability to choose words from.
        frequency_penalty: Against repeating words, the oftener the more.
        presence_penalty: Against words that were said at all.
        stop_sequences: Texts before which the reply ends.
        context_window_size: Most messages of the prompt.
        context_tokens: Tokens of prompt and reply together.
        timeout_seconds: How long the answer may take, further tries included.
        fallbacks: `PROVIDER:MODEL`, asked in this order when the first gives no reply.
        tools: Tools that the model may call; the calls are stored, not made.
        on_interruption: What becomes of a reply that broke off.
        summarise: Whether what falls out of the prompt's window is summarised, by a job of its own.
    """

    model_config = ConfigDict(extra="forbid")

    llm_provider: Name | None = None
    model: Name | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-10, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-10, le=10)] | None = None
    stop_sequences: Labels | None = None
    context_window_size: Annotated[int, Field(ge=1, le=MAX_MESSAGES)] | None = None
    context_tokens: Annotated[int, Field(ge=16, le=10_000_000)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    fallbacks: Annotated[list[_Choice], Field(max_length=16)] | None = None
    tools: Annotated[list[GivenTool], Field(max_length=128)] | None = None
    on_interruption: OnInterruption = OnInterruption.RESTART
    summarise: bool | None = None


class ReplyOrder(ReplyOptions):
    """A reply as its job keeps it (`job_config`): the options, and what it answers.

    Attributes:
        kind: Whether it answers or continues.
        branch: The branch it is appended to.
        parent_message_id: The message it answers or continues; None for the first of a branch.
        parent_digest: What that message said; if it is edited, the reply is cancelled.
        reply_message_id: The id that the reply's message will have.
        answer_seconds: How long the answer may take; `timeout_seconds` is that of the whole
            attempt.
    """

    kind: ReplyKind = ReplyKind.ANSWER
    branch: BranchName
    parent_message_id: MessageId | None = None
    parent_digest: Digest | None = None
    reply_message_id: MessageId
    answer_seconds: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _knows_its_parent(self) -> Self:
        if (self.parent_message_id is None) != (self.parent_digest is None):
            raise ValueError("parent_message_id and parent_digest go together")
        return self


def check_options(given: Mapping[str, Any]) -> ReplyOptions:
    """Return a client's options, checked.

    Raises:
        InvalidInput: One is unknown or wrong.
    """
    return checked(ReplyOptions, dict(given))


class Resolved:
    """Options with the settings in the place of what they leave out.

    Attributes:
        choices: The models, in the order in which they are asked.
        budget: Most tokens of the prompt.
        window_size: Most messages of the prompt.
        sampling: How the model chooses its words.
        tools: The tools it may call.
        patience: How long it may take.
        summarise: Whether what falls out of the window is summarised.
        attempt_seconds: How long one attempt of the job may take.

    Raises:
        InvalidInput: A provider is not known, or nothing is left for the prompt.
    """

    def __init__(self, options: ReplyOptions, settings: Settings, endpoints: Endpoints) -> None:
        provider = options.llm_provider or settings.llm_provider
        model = options.model
        if model is None:
            model = settings.llm_model if provider == settings.llm_provider else ""
        named = settings.llm_fallbacks if options.fallbacks is None else options.fallbacks
        fallbacks = [ModelChoice(*each.split(":", 1)) for each in named]
        self.choices = [
            ModelChoice(endpoints.of(provider, "llm_provider").kind.name, model),
            *(
                ModelChoice(endpoints.of(each.provider, "fallbacks").kind.name, each.model)
                for each in fallbacks
            ),
        ]
        whole = options.context_tokens or settings.llm_context_tokens
        most = options.max_tokens or min(settings.llm_max_tokens, whole // 2)
        self.budget = whole - most
        if self.budget < 1:
            raise errors.InvalidInput(
                "max_tokens",
                f"{most} tokens of reply leave nothing of {whole} for the prompt",
                "Lower it, or raise context_tokens",
            )
        self.window_size = options.context_window_size or MAX_MESSAGES
        self.sampling = Sampling(
            max_tokens=most,
            temperature=options.temperature,
            top_p=options.top_p,
            frequency_penalty=options.frequency_penalty,
            presence_penalty=options.presence_penalty,
            stop_sequences=tuple(options.stop_sequences or ()),
        )
        self.tools = tuple(
            Tool(tool.name, tool.description, tool.parameters) for tool in options.tools or ()
        )
        total = options.timeout_seconds or settings.llm_timeout
        if isinstance(options, ReplyOrder):
            total = options.answer_seconds
        self.attempt_seconds = total + _AROUND
        self.summarise = settings.llm_summarise if options.summarise is None else options.summarise
        self.patience = Patience(
            first_token=settings.llm_first_token_timeout,
            between_tokens=settings.llm_between_tokens_timeout,
            total=total,
            attempts=settings.llm_attempts,
            longest_wait=settings.llm_longest_wait,
        )
