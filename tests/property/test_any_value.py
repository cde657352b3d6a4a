"""Whatever a caller hands in, at whatever parameter: it works, or it is refused by name.

The methods and their parameters are read from the objects a caller reaches. A valid call is built
from a table of valid values by parameter name (`support.every_call`); then one value of it, nested
ones included, is replaced. A new method is covered by itself; a new parameter name must be added
to the table.
"""

from __future__ import annotations

import inspect
import random
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import message_service
from message_service import MessageService, errors
from support.every_call import OPEN, Busy, Target, may_be_none
from support.waiting import soon
from support.wrong_values import FRESH, WRONG

SHARES = 4
"""Tests the methods are shared out to, so that none of them is long."""


def _too_long(_number: int, _frame: object) -> None:
    raise Busy


@pytest.fixture
async def target(service: MessageService, mongo_uri: str, tmp_path: Path) -> AsyncIterator[Target]:
    before = signal.signal(signal.SIGVTALRM, _too_long)
    yield Target(service, mongo_uri, tmp_path)
    signal.signal(signal.SIGVTALRM, before)
    client = service.store.database.client
    for name in await client.list_database_names():
        if name.startswith(f"{service.settings.database}_"):
            await client.drop_database(name)


async def test_every_way_in_is_known(target: Target) -> None:
    for name in (
        "service.connect",
        "service.tenant",
        "tenant.messages.append",
        "tenant.search.find",
    ):
        assert name in target.methods
    known = target.valid("tenant.analytics.series")
    for name, method in target.methods.items():
        for parameter in inspect.signature(method).parameters.values():
            is_known = parameter.name in (
                OPEN if parameter.kind is parameter.VAR_KEYWORD else known
            )
            assert is_known, f"{name}: say in the table what is valid for {parameter.name!r}"
    for exported in message_service.__all__:
        given = getattr(message_service, exported)
        is_type = inspect.isclass(given) or get_origin(given) is Annotated
        assert is_type or exported in {"joined", "jobs"}, exported


async def test_what_the_calls_take_and_return_is_exported(target: Target) -> None:
    for name, method in target.methods.items():
        for mentioned in mentioned_in(get_type_hints(method)):
            exported = getattr(message_service, mentioned.__name__, None)
            assert exported is mentioned, f"{name} mentions {mentioned}, which is not exported"


def mentioned_in(hint: object) -> Iterator[type]:
    """Yield the package's own classes in type hints, nested ones included."""
    if isinstance(hint, dict):
        hint = tuple(hint.values())
    for inner in hint if isinstance(hint, (list, tuple)) else get_args(hint):
        yield from mentioned_in(inner)
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and kind.__module__.startswith("message_service"):
        yield kind


async def test_the_valid_calls_are_valid(target: Target) -> None:
    for method in target.methods:
        if method == "StopSignal.wait":
            continue
        await target.begin(method)
        await target.service.search_index.drain()
        await target.service.rollups.drain()
        for path in target.paths(method) or [()]:
            if path[:1] not in (("changes",), ("fields",), ("options",), ("overrides",)):
                arguments = target.arguments(method, path)
                await soon(method, target.call(method, arguments))


@pytest.mark.parametrize("share", range(SHARES))
async def test_any_wrong_value_is_refused_by_name(target: Target, share: int) -> None:
    failures: dict[str, list[str]] = {}
    for method in list(target.methods)[share::SHARES]:
        paths = target.paths(method)
        if not paths:
            continue
        await target.begin(method)
        await target.service.search_index.drain()
        await target.service.rollups.drain()
        for path in paths:
            # Half of them, other ones in each run and for each parameter.
            for wrong in random.sample(sorted(WRONG), k=(len(WRONG) + 1) // 2):
                if wrong == "None" and may_be_none(target.methods[method], path):
                    continue
                if (failure := await target.failure(method, path, FRESH[wrong])) is not None:
                    failures.setdefault(failure[0], []).append(failure[1])
        try:
            await target.check(method)
        except (errors.MessageServiceError, AssertionError) as error:
            failures[f"{method}: what it left behind"] = [repr(error)]
    shown = "\n".join(
        f"{what}, {len(examples)} values, such as {examples[0]}"
        for what, examples in failures.items()
    )
    assert not failures, ascii(shown).replace("\\n", "\n")


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(
    max_examples=50,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making it smaller tells nothing more
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), value=VALUES)
async def test_any_made_up_value_is_taken_or_refused(
    target: Target, data: st.DataObject, value: Any
) -> None:
    if not target.conversation:
        await target.begin("made up")
    method = data.draw(st.sampled_from([name for name in target.methods if target.paths(name)]))
    path = data.draw(st.sampled_from(target.paths(method)))
    if value is not None or not may_be_none(target.methods[method], path):
        failure = await target.failure(method, path, lambda: value)
        assert failure is None, ascii(failure)
    await target.check("made up")
