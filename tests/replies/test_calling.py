"""Asking models: further tries, other models, limits and breakers, with the scripted provider."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from message_service import errors
from message_service.database.client import Database
from message_service.database.pacing import Pace
from message_service.generation.breaker import Breaker
from message_service.generation.calling import Calling, ModelChoice
from message_service.generation.draft import Draft
from message_service.generation.endpoints import Endpoint, EndpointLimits, Endpoints
from message_service.generation.provider import (
    Event,
    Finished,
    ModelInfo,
    ModelRequest,
    ProviderAccess,
    ProviderKind,
    TextDelta,
    Turn,
)
from message_service.generation.providers.scripted import SCRIPTED, Scripted
from message_service.generation.timing import Patience
from support.waiting import soon

ACCESS = ProviderAccess("", None, 5)
LIMITS = EndpointLimits(concurrency=10, per_minute=None, failures=3, pause=60)
PATIENCE = Patience(
    first_token=20, between_tokens=20, total=60, attempts=3, longest_wait=2, first_delay=0.01
)
REQUEST = ModelRequest("", (Turn("user", "one two three"),))


class Asked:
    """Providers named `a` and `b`, both scripted."""

    def __init__(self, database: Database, **limits: Any) -> None:
        self.providers = {name: Scripted() for name in "ab"}
        self.endpoints = {
            name: Endpoint(
                replace(SCRIPTED, name=name, make=lambda _, own=provider: own),
                ACCESS,
                replace(LIMITS, **limits),
                database,
            )
            for name, provider in self.providers.items()
        }
        self.calling = Calling(Endpoints(self.endpoints), os.urandom)

    async def __call__(self, *models: str, **patience: Any) -> list[tuple[int, str]]:
        """Return how the answer grew: the number of the try, and its text."""
        seen: list[tuple[int, str]] = []
        self.last: Draft | None = None
        choices = [ModelChoice(*model.split(":", 1)) for model in models]

        async def run() -> None:
            answer = self.calling.run(choices, REQUEST, replace(PATIENCE, **patience))
            async with aclosing(answer):
                async for draft in answer:
                    self.last = draft
                    seen.append((draft.attempt, draft.text))

        await soon("an answer", run())
        return seen

    async def failing(self, *models: str, **patience: Any) -> errors.ProviderFailed:
        with pytest.raises(errors.ProviderFailed) as failure:
            await self(*models, **patience)
        return failure.value

    def times(self, provider: str = "a") -> int:
        return sum(self.providers[provider].asked.values())


@pytest.fixture
def asked(database: Database) -> Asked:
    return Asked(database)


async def test_an_answer_grows_and_ends(asked: Asked) -> None:
    seen = await asked("a:pace 0.001|echo")
    assert seen[-1] == (1, "one two three")
    assert all(later[1].startswith(earlier[1]) for earlier, later in pairwise(seen))
    assert len(seen) > 1
    assert asked.last is not None
    assert asked.last.usage == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    assert asked.last.first_token_seconds is not None
    assert asked.last.first_token_seconds <= asked.last.seconds


async def test_a_try_that_fails_at_once_is_not_seen(asked: Asked) -> None:
    seen = await asked("a:first 2 fail overloaded 0.01|echo")
    assert {number for number, _ in seen} == {3}
    assert asked.times() == 3


async def test_a_try_that_breaks_off_is_followed_by_a_new_draft(asked: Asked) -> None:
    seen = await asked("a:pace 0.001|first 1 say half of it|first 1 cut|echo")
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)
    first, second = ([text for number, text in seen if number == n] for n in (1, 2))
    assert "half of it".startswith(first[-1])
    assert all("half" not in text for text in second)
    assert second[-1] == "one two three"


@pytest.mark.parametrize(
    ("script", "reason", "times"),
    [
        ("fail unauthorized", "unauthorized", 1),
        ("no such step", "model_unknown", 1),
        ("fail context_too_long", "context_too_long", 1),
        ("fail server_error 0", "server_error", 3),
        ("say a b|cut", "cut_off", 3),
        ("garbage", "garbage", 3),
        ("pause 0", "empty_reply", 3),
        ("say  ", "empty_reply", 3),
        ("finish content_filter", "content_filtered", 1),
        ('call weather {"a":', "invalid_tool_call", 3),
        ('call weather ["a"]', "invalid_tool_call", 3),
    ],
)
async def test_each_failure_is_stated(
    database: Database, script: str, reason: str, times: int
) -> None:
    asked = Asked(database, failures=0)
    failure = await asked.failing(f"a:{script}")
    assert failure.reason == reason
    assert asked.times() == times
    assert failure.retryable == (times > 1)


@pytest.mark.parametrize(
    ("script", "patience", "reason"),
    [
        ("stall", {"first_token": 0.05}, "first_token_timeout"),
        ("say a b|stall", {"between_tokens": 0.05}, "stalled"),
        ("pace 0.01|words 100000", {"total": 0.1}, "total_timeout"),
    ],
)
async def test_time_is_kept(
    asked: Asked, script: str, patience: dict[str, float], reason: str
) -> None:
    assert (await asked.failing(f"a:{script}", attempts=1, **patience)).reason == reason


async def test_the_next_model_is_asked_and_all_that_failed_are_told(asked: Asked) -> None:
    seen = await asked("a:fail unauthorized", "b:echo")
    assert seen[-1][1] == "one two three"
    assert asked.last is not None
    assert asked.last.provider == "b"
    failure = await asked.failing("a:fail unauthorized", "b:fail overloaded 60")
    assert failure.reason == "overloaded"  # this one may pass
    assert failure.retry_after == 60
    assert "(fail unauthorized)" in failure.message
    assert "(fail overloaded 60)" in failure.message


async def test_a_long_wait_is_left_to_the_caller_and_kept_by_all(asked: Asked) -> None:
    failure = await asked.failing("a:fail rate_limited 30")
    assert (failure.reason, failure.retry_after) == ("rate_limited", 30)
    assert asked.times() == 1
    held = await asked.failing("a:echo")
    assert held.reason == "rate_limited"
    assert held.retry_after is not None
    assert 0 < held.retry_after <= 30
    assert asked.times() == 1  # it was not even asked


async def test_an_open_breaker_asks_nobody(asked: Asked) -> None:
    assert (await asked.failing("a:fail server_error 0")).reason == "server_error"
    failure = await asked.failing("a:echo", attempts=1)
    assert failure.reason == "circuit_open"
    assert asked.times() == 3
    assert (await asked("b:echo"))[-1][1] == "one two three"
    assert asked.endpoints["a"].breaker.state == "open"


def test_the_breaker_lets_one_through_and_waits_longer_when_that_fails() -> None:
    now = [0.0]
    breaker = Breaker(2, 10, lambda: now[0])
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    assert (breaker.state, breaker.admit()) == ("open", False)
    now[0] = 10
    assert breaker.state == "half_open"
    assert [breaker.admit(), breaker.admit()] == [True, False]
    breaker.failed()
    now[0] = 29
    assert not breaker.admit()
    now[0] = 30
    assert breaker.admit()
    breaker.left()  # cancelled: it told nothing, so the next one may try
    assert breaker.admit()
    breaker.succeeded()
    assert breaker.state == "closed"
    assert [breaker.admit() for _ in range(3)] == [True] * 3


class Counting:
    """Counts how many are asked at once; answers when it is told to."""

    def __init__(self) -> None:
        self.now = self.most = self.closed = 0
        self.go = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield TextDelta("a")
            await self.go.wait()
            yield Finished("stop")
        finally:
            self.now -= 1
            self.closed += 1

    async def models(self) -> Sequence[ModelInfo]:
        return ()

    async def close(self) -> None:
        pass


def counted(database: Database, places: int) -> tuple[Counting, Calling]:
    provider = Counting()
    kind = ProviderKind("c", lambda _: provider, key_needed=False)
    endpoint = Endpoint(kind, ACCESS, replace(LIMITS, concurrency=places), database)
    return provider, Calling(Endpoints({"c": endpoint}), os.urandom)


async def test_no_more_than_so_many_at_once(database: Database) -> None:
    provider, calling = counted(database, 2)

    async def ask() -> None:
        async with aclosing(calling.run([ModelChoice("c", "m")], REQUEST, PATIENCE)) as answer:
            async for _ in answer:
                if provider.now == 2:
                    provider.go.set()

    await soon("all answers", asyncio.gather(*(ask() for _ in range(6))))
    assert (provider.most, provider.closed) == (2, 6)


async def test_who_stops_listening_ends_the_request(database: Database) -> None:
    provider, calling = counted(database, 1)
    for _ in range(2):  # the second finds the place free again
        async with aclosing(calling.run([ModelChoice("c", "m")], REQUEST, PATIENCE)) as answer:
            draft = await soon("the first piece", anext(answer))
            assert draft.text == "a"
        assert provider.now == 0
    assert provider.closed == 2


async def test_a_provider_without_a_key_and_one_that_is_not_known(database: Database) -> None:
    kind = replace(SCRIPTED, name="openai", key_needed=True)
    endpoints = Endpoints({"openai": Endpoint(kind, ACCESS, LIMITS, database)})
    calling = Calling(endpoints, os.urandom)

    async def ask(provider: str) -> None:
        async for _ in calling.run([ModelChoice(provider, "m")], REQUEST, PATIENCE):
            pass

    with pytest.raises(errors.ProviderFailed, match="MESSAGE_SERVICE_OPENAI_API_KEY") as failure:
        await ask("openai")
    assert failure.value.reason == "key_missing"
    with pytest.raises(errors.InvalidInput, match="Use one of: openai"):
        await ask("nobody")


async def test_a_pace_is_kept_by_all_processes_together(database: Database) -> None:
    both = [Pace(database, "p", 60, burst=3) for _ in range(2)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = [await both[turn % 2].take() for turn in range(8)]
    spent = loop.time() - began
    assert waits[:3] == [0, 0, 0]
    for turn, wait in enumerate(waits[3:], 3):  # the seventh turn is free after four seconds
        assert turn - 2 - spent - 0.01 <= wait <= turn - 2
    await both[0].hold(100)
    assert await both[1].take() > 99 - (loop.time() - began)
