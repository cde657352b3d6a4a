"""The failures of providers that are asked over HTTP, told by status and error code.

The SDKs of both families raise the same errors under the same names, so one reading serves all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from message_service import errors
from message_service.generation.failures import FailureKind, failed

_TOKEN = re.compile(r"[\w.\[\]-]{1,64}", re.ASCII)

_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error", "request_too_large")
_QUOTA = ("insufficient_quota", "billing_error", "billing_hard_limit_reached")
_NO_MODEL = ("model_not_found", "not_found_error")
_TOO_LONG_SAID = re.compile(
    r"context (length|window|size)|prompt is too long|too many tokens", re.I
)

_BY_STATUS = {
    401: FailureKind.UNAUTHORIZED,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.UNAUTHORIZED,
    404: FailureKind.MODEL_UNKNOWN,
    408: FailureKind.OVERLOADED,
    409: FailureKind.OVERLOADED,
    413: FailureKind.CONTEXT_TOO_LONG,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}


def of_sdk(
    sdk: Any, error: Exception, provider: str, model: str | None, *, begun: bool
) -> errors.ProviderFailed:
    """Return the failure for an error of an SDK, or of reading what the provider sent.

    Args:
        sdk: The SDK's package.
        error: The error.
        provider: The provider.
        model: The model asked for.
        begun: Whether the provider has begun to answer.
    """
    match error:
        case sdk.APIStatusError() if begun and error.status_code < 400:
            return of_error_event(provider, model, error.body)
        case sdk.APIStatusError():
            return of_status(provider, model, error.status_code, error.response.headers, error.body)
        case sdk.APITimeoutError():
            return failed(FailureKind.CONNECT_TIMEOUT, provider, model)
        case sdk.APIConnectionError():
            kind = FailureKind.CUT_OFF if begun else FailureKind.UNREACHABLE
            return failed(kind, provider, model)
        case sdk.APIResponseValidationError():
            return failed(FailureKind.GARBAGE, provider, model)
        case sdk.APIError():
            return of_error_event(provider, model, error.body)
        case _ if begun and type(error).__module__.startswith("httpx2"):
            return failed(FailureKind.CUT_OFF, provider, model)  # Anthropic's lets these through
        case _:  # JSON that is none, fields of other types
            return failed(FailureKind.GARBAGE, provider, model, detail=type(error).__name__)


def check_stream(provider: str, model: str, headers: Mapping[str, str]) -> None:
    """Return if an answer is a stream of events.

    Raises:
        ProviderFailed: It is something else, such as a page of a proxy.
    """
    if not headers.get("content-type", "").startswith("text/event-stream"):
        raise failed(FailureKind.GARBAGE, provider, model, detail="it is no event stream")


def of_status(
    provider: str, model: str | None, status: int, headers: Mapping[str, str], body: object
) -> errors.ProviderFailed:
    """Return the failure that an answer with an error status tells.

    Args:
        provider: The provider.
        model: The model asked for.
        status: The HTTP status.
        headers: The answer's headers.
        body: What the SDK has read of its body.
    """
    code, parameter, said = _facts(body)
    return failed(
        _kind(status, code, said),
        provider,
        model,
        detail=_detail(f"HTTP {status}", code, parameter),
        retry_after=_seconds(headers),
    )


def of_error_event(provider: str, model: str | None, body: object) -> errors.ProviderFailed:
    """Return the failure that an error in the middle of an answer tells."""
    code, parameter, said = _facts(body)
    kind = _kind(500, code, said)
    if code in ("overloaded_error", "overloaded"):
        kind = FailureKind.OVERLOADED
    return failed(kind, provider, model, detail=_detail("while it answered", code, parameter))


def _kind(status: int, code: str, said: str) -> FailureKind:
    if code in _QUOTA:
        return FailureKind.QUOTA_EXHAUSTED
    if code in _TOO_LONG or (status == 400 and _TOO_LONG_SAID.search(said)):
        return FailureKind.CONTEXT_TOO_LONG
    if code in _NO_MODEL:
        return FailureKind.MODEL_UNKNOWN
    if code in ("rate_limit_error", "rate_limit_exceeded"):
        return FailureKind.RATE_LIMITED
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return FailureKind.REFUSED if status < 500 else FailureKind.SERVER_ERROR


def _facts(body: object) -> tuple[str, str, str]:
    """Return error code, parameter and words of a body, as far as they are there."""
    found = _mapping(body)
    inner = found.get("error")
    found = _mapping(inner) or found
    code = found.get("code")
    kind = found.get("type")
    name = code if isinstance(code, str) else kind
    return (
        name if isinstance(name, str) else "",
        str(found.get("param") or ""),
        str(found.get("message") or inner or ""),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else dict[str, Any]()


def _detail(first: str, code: str, parameter: str) -> str:
    """Return what may be shown: names only, because messages may quote the key or the prompt."""
    said = [first]
    if _TOKEN.fullmatch(code):
        said.append(code)
    if _TOKEN.fullmatch(parameter):
        said.append(f"parameter {parameter}")
    return ", ".join(said)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return the wait that the provider asks for, if it is a number of seconds."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        if 0 <= seconds <= 86_400:
            return seconds
    return None
