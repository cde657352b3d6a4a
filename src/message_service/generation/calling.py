"""Asks a model for an answer: tries again by the kind of failure, then asks the next model.

Nothing here knows where the answer goes. A try that fails before its first piece is never seen by
the caller; one that breaks off later is followed by a new draft, which begins from nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from message_service import errors
from message_service.generation.draft import Draft
from message_service.generation.endpoints import Endpoint, Endpoints
from message_service.generation.failures import FailureKind, failed
from message_service.generation.provider import Finished, ModelRequest
from message_service.generation.timing import Patience, TimedOut, timed
from message_service.queue.ordering import retry_delay


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model of a provider; an empty name is the model that the provider has loaded."""

    provider: str
    model: str


class Calling:
    """Asks models.

    Args:
        endpoints: The providers.
        random: Source of random bytes, for pauses that differ.
    """

    def __init__(self, endpoints: Endpoints, random: Callable[[int], bytes]) -> None:
        self._endpoints = endpoints
        self._random = random

    async def run(
        self, choices: Sequence[ModelChoice], request: ModelRequest, patience: Patience
    ) -> AsyncGenerator[Draft, None]:
        """Yield the draft of the answer each time it has grown; the last one is complete.

        Args:
            choices: The models, the first one first.
            request: What is asked; its `model` is that of the choice.
            patience: How long all may take.

        Raises:
            ProviderFailed: No model gave an answer; tells what each said.
            InvalidInput: A provider is not known.
        """
        deadline = asyncio.get_running_loop().time() + patience.total
        failures: list[errors.ProviderFailed] = []
        number = 0
        for choice in choices:
            endpoint = self._endpoints.of(choice.provider)
            asked = replace(request, model=choice.model)
            for attempt in range(1, patience.attempts + 1):
                number += 1
                draft = Draft(endpoint.kind.name, choice.model, number)
                try:
                    async with aclosing(
                        self._answer(endpoint, asked, patience, deadline, draft)
                    ) as answer:
                        async for _ in answer:
                            yield draft
                    return
                except errors.ProviderFailed as failure:
                    if attempt == 1:
                        failures.append(failure)
                    else:
                        failures[-1] = failure
                    wait = self._pause(failure, attempt, patience, deadline)
                    if wait is None:
                        break
                await asyncio.sleep(wait)
        raise _summed_up(failures)

    def _pause(
        self, failure: errors.ProviderFailed, attempt: int, patience: Patience, deadline: float
    ) -> float | None:
        """Return the seconds before the same model is asked again; None when it is not."""
        if not failure.retryable or attempt == patience.attempts:
            return None
        wait = retry_delay(attempt, patience.first_delay, self._random)
        if failure.retry_after is not None:
            wait = max(wait, failure.retry_after)
        if wait > patience.longest_wait:
            return None
        return wait if asyncio.get_running_loop().time() + wait < deadline else None

    async def _answer(
        self,
        endpoint: Endpoint,
        request: ModelRequest,
        patience: Patience,
        deadline: float,
        draft: Draft,
    ) -> AsyncGenerator[None, None]:
        """Yield whenever the draft has grown."""
        loop = asyncio.get_running_loop()
        name, model = endpoint.kind.name, request.model
        async with endpoint.places:
            wait = await endpoint.turn()
            if wait > patience.longest_wait or loop.time() + wait >= deadline:
                raise failed(FailureKind.RATE_LIMITED, name, model, retry_after=wait)
            if wait > 0:
                await asyncio.sleep(wait)
            with endpoint.guarded(model):
                began = loop.time()
                events = endpoint.provider(model).stream(request)
                try:
                    async with aclosing(timed(events, patience, deadline)) as batches:
                        async for batch in batches:
                            for event in batch:
                                draft.take(event)
                            draft.seconds = loop.time() - began
                            if draft.begun and draft.first_token_seconds is None:
                                draft.first_token_seconds = draft.seconds
                            if draft.full:
                                draft.take(Finished("length"))
                                break
                            if draft.begun and draft.finish_reason is None:
                                yield
                except TimedOut as error:
                    raise failed(error.kind, name, model) from None
                except errors.ProviderFailed as error:
                    if error.reason == FailureKind.RATE_LIMITED and error.retry_after:
                        await endpoint.hold(error.retry_after)
                    raise
                problem = draft.problem()
                if problem is not None:
                    raise failed(problem, name, model)
        yield


def _summed_up(failures: Sequence[errors.ProviderFailed]) -> errors.ProviderFailed:
    """Return the failure to tell: one that may pass, else the first; with what all have said."""
    told = next((failure for failure in failures if failure.retryable), failures[0])
    if len(failures) == 1:
        return told
    said = "; ".join(failure.message for failure in failures)
    return type(told)(said, told.reason, **{k: v for k, v in told.details.items() if k != "reason"})
