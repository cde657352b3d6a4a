"""What can go wrong with a provider, and what follows from it: one entry each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from message_service import errors


class FailureKind(StrEnum):
    """Why a provider gave no usable reply; the reason that a failed reply states."""

    KEY_MISSING = "key_missing"
    UNAUTHORIZED = "unauthorized"
    MODEL_UNKNOWN = "model_unknown"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "request_refused"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105
    STALLED = "stalled"
    TOTAL_TIMEOUT = "total_timeout"
    CUT_OFF = "cut_off"
    GARBAGE = "garbage"
    EMPTY = "empty_reply"
    FILTERED = "content_filtered"
    INVALID_TOOL_CALL = "invalid_tool_call"
    CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class Failure:
    """What follows from a kind of failure.

    Attributes:
        kind: The kind.
        meaning: What it says, for people.
        again: Whether the same request may succeed when it is sent again.
        trips: Whether it counts against the provider (see `breaker`); not when only this request
            is at fault, nor when the provider itself says when to come back.
    """

    kind: FailureKind
    meaning: str
    again: bool
    trips: bool


FAILURES: dict[FailureKind, Failure] = {
    failure.kind: failure
    for failure in (
        Failure(FailureKind.KEY_MISSING, "no API key is set", again=False, trips=False),
        Failure(
            FailureKind.UNAUTHORIZED,
            "the provider does not accept the key",
            again=False,
            trips=True,
        ),
        Failure(
            FailureKind.MODEL_UNKNOWN, "the provider has no such model", again=False, trips=False
        ),
        Failure(
            FailureKind.CONTEXT_TOO_LONG,
            "the prompt is longer than the model allows",
            again=False,
            trips=False,
        ),
        Failure(FailureKind.REFUSED, "the provider refuses the request", again=False, trips=False),
        Failure(
            FailureKind.QUOTA_EXHAUSTED, "the account's quota is used up", again=False, trips=True
        ),
        Failure(
            FailureKind.RATE_LIMITED,
            "the provider's rate limit is reached",
            again=True,
            trips=False,
        ),
        Failure(FailureKind.OVERLOADED, "the provider is overloaded", again=True, trips=True),
        Failure(FailureKind.SERVER_ERROR, "the provider has failed", again=True, trips=True),
        Failure(FailureKind.UNREACHABLE, "the provider cannot be reached", again=True, trips=True),
        Failure(
            FailureKind.CONNECT_TIMEOUT,
            "the provider does not take connections",
            again=True,
            trips=True,
        ),
        Failure(
            FailureKind.FIRST_TOKEN_TIMEOUT,
            "the provider does not begin to answer",
            again=True,
            trips=True,
        ),
        Failure(
            FailureKind.STALLED,
            "the provider says nothing more in the middle of its answer",
            again=True,
            trips=True,
        ),
        Failure(
            FailureKind.TOTAL_TIMEOUT,
            "the answer takes longer than allowed",
            again=False,
            trips=True,
        ),
        Failure(
            FailureKind.CUT_OFF,
            "the connection ended before the answer did",
            again=True,
            trips=True,
        ),
        Failure(FailureKind.GARBAGE, "the answer cannot be understood", again=True, trips=True),
        Failure(FailureKind.EMPTY, "the answer holds nothing", again=True, trips=False),
        Failure(
            FailureKind.FILTERED,
            "the provider's filter left nothing of the answer",
            again=False,
            trips=False,
        ),
        Failure(
            FailureKind.INVALID_TOOL_CALL,
            "the answer calls a tool with arguments that are no JSON object",
            again=True,
            trips=False,
        ),
        Failure(
            FailureKind.CIRCUIT_OPEN,
            "the provider has failed again and again and is left alone for a moment",
            again=True,
            trips=False,
        ),
    )
}
"""Every kind of failure."""


def failed(
    kind: FailureKind,
    provider: str,
    model: str | None = None,
    *,
    detail: str = "",
    retry_after: float | None = None,
) -> errors.ProviderFailed:
    """Return the error of a failure.

    Args:
        kind: What went wrong.
        provider: The provider.
        model: The model asked for.
        detail: What more is known; never a provider's own words about a request, because those
            may quote the key or the prompt.
        retry_after: Seconds after which the provider wants to be asked again.
    """
    failure = FAILURES[kind]
    kind_of_error = errors.ProviderUnavailable if failure.again else errors.ProviderFailed
    asked = provider if model is None else f"{provider} ({model})"
    said = f"{asked}: {failure.meaning}{f': {detail}' if detail else ''}"
    return kind_of_error(said, kind.value, provider=provider, model=model, retry_after=retry_after)
