"""The providers, through their own SDKs, against a server that says what a test wants."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from message_service import errors
from message_service.documents.parts import ToolCall
from message_service.generation.draft import Draft
from message_service.generation.failures import FAILURES, FailureKind
from message_service.generation.known_providers import PROVIDERS
from message_service.generation.provider import (
    ModelRequest,
    Provider,
    ProviderAccess,
    Sampling,
    Tool,
    Turn,
)
from support.model_servers import (
    BROKEN,
    Answer,
    ModelServer,
    anthropic_answer,
    anthropic_events,
    model_server,
    openai_chunks,
)
from support.waiting import soon

KEY = "sk-very-secret-key-0123456789"
TOOL = Tool("weather", "The weather of a place", {"type": "object", "properties": {}})

TURNS = (
    Turn("system", "You are Luna."),
    Turn("user", "Weather in Rome?"),
    Turn("assistant", "", (ToolCall(id="call_1", name="weather", arguments='{"place":"Rome"}'),)),
    Turn("tool", "sunny", call_id="call_1"),
    Turn("system", "Be brief."),
    Turn("user", "Thanks! And tomorrow?"),
)

TEXT_START = {"type": "text", "text": ""}


def said_in_openai(text: str) -> list[str]:
    return openai_chunks(*({"content": piece} for piece in text))


def said_in_anthropic(text: str) -> list[str]:
    deltas = [{"type": "text_delta", "text": piece} for piece in text]
    return anthropic_answer({"start": TEXT_START, "deltas": deltas})


SAID: dict[str, Callable[[str], list[str]]] = {
    "lmstudio": said_in_openai,
    "openai": said_in_openai,
    "anthropic": said_in_anthropic,
}

WORDS_OF_ERROR = json.dumps(
    {"error": {"type": "some_error", "code": None, "message": f"Incorrect API key: {KEY}"}}
)


@asynccontextmanager
async def connected(name: str, *answers: Answer) -> AsyncIterator[tuple[Provider, ModelServer]]:
    async with model_server(*answers) as server:
        provider = PROVIDERS[name].make(ProviderAccess(server.url, SecretStr(KEY), 5))
        try:
            yield provider, server
        finally:
            await provider.close()


async def asked(provider: Provider, **values: Any) -> Draft:
    draft = Draft("p", "m", 1)

    async def run() -> None:
        request = ModelRequest("m-1", **{"turns": TURNS, **values})
        async for event in provider.stream(request):
            draft.take(event)

    await soon("the answer", run())
    return draft


@pytest.mark.parametrize("name", SAID)
async def test_an_answer_arrives_whole_with_its_usage(name: str) -> None:
    async with connected(name, Answer(pieces=SAID[name]("Hé, sunny 🌞"))) as (provider, server):
        sampling = Sampling(max_tokens=50, temperature=0.5, stop_sequences=("END",))
        draft = await asked(provider, sampling=sampling, tools=(TOOL,))
    assert (draft.text, draft.finish_reason, draft.problem()) == ("Hé, sunny 🌞", "stop", None)
    assert draft.request_id in ("chatcmpl-1", "msg_1")
    assert draft.model in ("m-1", "claude-x")
    [request] = server.requests
    assert request["model"] == "m-1"
    assert request["stream"] is True
    assert request["temperature"] == 0.5
    assert KEY in server.heads[0]
    usage = draft.usage
    assert usage is not None
    if name == "anthropic":
        assert (usage["input_tokens"], usage["output_tokens"]) == (7, 3)
        assert request["system"] == "You are Luna."
        assert request["stop_sequences"] == ["END"]
        assert request["max_tokens"] == 50
        assert request["tools"][0]["input_schema"] == TOOL.parameters
        assert request["messages"][1]["content"][0]["input"] == {"place": "Rome"}
        assert request["messages"][2]["content"][0]["tool_use_id"] == "call_1"
        assert [message["role"] for message in request["messages"]] == [
            "user", "assistant", "user", "user", "user"
        ]  # fmt: skip
    else:
        assert usage["total_tokens"] == 10
        assert [message["role"] for message in request["messages"]] == [turn.role for turn in TURNS]
        assert request["messages"][2]["tool_calls"][0]["function"]["name"] == "weather"
        limits = {"lmstudio": "max_tokens", "openai": "max_completion_tokens"}
        assert request[limits[name]] == 50
        assert request["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (400, {}, "request_refused", None),
        (401, {}, "unauthorized", None),
        (403, {}, "unauthorized", None),
        (404, {}, "model_unknown", None),
        (413, {}, "context_too_long", None),
        (429, {"retry-after": "1.5"}, "rate_limited", 1.5),
        (429, {"retry-after": "soon"}, "rate_limited", None),
        (500, {}, "server_error", None),
        (502, {}, "server_error", None),
        (503, {"retry-after": "2"}, "overloaded", 2.0),
        (529, {}, "overloaded", None),
    ],
)
async def test_statuses_have_a_reason_and_never_tell_the_key(
    name: str,
    status: int,
    headers: dict[str, str],
    kind: str,
    wait: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = Answer(status, [WORDS_OF_ERROR], "application/json", headers)
    async with connected(name, answer) as (provider, server):
        with pytest.raises(errors.ProviderFailed) as failure:
            await asked(provider)
    assert failure.value.reason == kind
    assert failure.value.retry_after == wait
    assert str(status) in failure.value.message
    assert len(server.requests) == 1  # the SDK itself does not try again
    told = [failure.value.message, repr(failure.value.details), caplog.text]
    assert not any(KEY in text for text in told)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize(
    ("pieces", "kind", "text"),
    [
        (["event: message_start\ndata: {not json\n\n"], "garbage", ""),
        (["event: message_start\ndata: [1, 2\n\n"], "garbage", ""),
        ([BROKEN], "cut_off", ""),
        (["half", BROKEN], "cut_off", "half"),
        (["half"], "no end", "half"),
        ([""], "no end", ""),
    ],
)
async def test_what_is_no_answer(name: str, pieces: list[Any], kind: str, text: str) -> None:
    begun = SAID[name]("half")[: 7 if name == "anthropic" else 4]
    whole = {"half": "".join(begun), "": ": hello\n\n"}
    answer = Answer(pieces=[whole.get(piece, piece) for piece in pieces])
    draft = Draft("p", "m", 1)
    async with connected(name, answer) as (provider, _):

        async def run() -> None:
            async for event in provider.stream(ModelRequest("m-1", TURNS)):
                draft.take(event)

        if kind == "no end":
            await soon("the answer", run())
            assert draft.problem() is FailureKind.CUT_OFF
        else:
            with pytest.raises(errors.ProviderFailed) as failure:
                await soon("the answer", run())
            assert failure.value.reason == kind
    assert draft.text == text


@pytest.mark.parametrize("name", SAID)
async def test_a_page_instead_of_a_stream_is_garbage(name: str) -> None:
    answer = Answer(pieces=["<html>Welcome</html>"], kind="text/html")
    async with connected(name, answer) as (provider, _):
        with pytest.raises(errors.ProviderFailed) as failure:
            await asked(provider)
    assert failure.value.reason == "garbage"


@pytest.mark.parametrize("name", SAID)
async def test_nobody_listens(name: str) -> None:
    provider = PROVIDERS[name].make(ProviderAccess("http://127.0.0.1:9/v1", SecretStr(KEY), 5))
    with pytest.raises(errors.ProviderFailed) as failure:
        await asked(provider)
    await provider.close()
    assert failure.value.reason == "unreachable"
    assert failure.value.retryable


async def test_tool_calls_reasoning_and_refusals_of_openai() -> None:
    deltas = [
        {"reasoning_content": "Hm. "},
        {"content": "I look."},
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": ""}}]},
        {"refusal": "But no."},
    ]
    answer = Answer(pieces=openai_chunks(*deltas, finish="tool_calls"))
    async with connected("openai", answer) as (provider, _):
        draft = await asked(provider)
    assert draft.problem() is None
    assert draft.parts() == [
        {"type": "reasoning", "text": "Hm. "},
        {"type": "text", "text": "I look."},
        {"type": "refusal", "text": "But no."},
        {"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "tool_call", "id": "c2", "name": "g", "arguments": "{}"},
    ]


async def test_a_character_that_was_cut_in_two_is_whole_again() -> None:
    halves = [{"content": text} for text in ("a\ud83d", "\ude00b", "\ude00c", "d\ud83d")]
    async with connected("openai", Answer(pieces=openai_chunks(*halves))) as (provider, _):
        draft = await asked(provider)
    assert draft.text == "a\U0001f600b\ufffdcd"
    assert draft.problem() is None


async def test_tool_calls_and_reasoning_of_anthropic() -> None:
    blocks = [
        {
            "start": {"type": "thinking", "thinking": "", "signature": ""},
            "deltas": [
                {"type": "thinking_delta", "thinking": "Hm."},
                {"type": "signature_delta", "signature": "sig"},
            ],
        },
        {"start": {"type": "redacted_thinking", "data": "secret"}},
        {
            "start": {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            "deltas": [
                {"type": "input_json_delta", "partial_json": '{"a"'},
                {"type": "input_json_delta", "partial_json": ":1}"},
            ],
        },
    ]
    answer = Answer(pieces=anthropic_answer(*blocks, stop="tool_use"))
    async with connected("anthropic", answer) as (provider, _):
        draft = await asked(provider)
    assert draft.finish_reason == "tool_calls"
    assert draft.parts() == [
        {"type": "reasoning", "text": "Hm.", "signature": "sig", "encrypted": "secret"},
        {"type": "tool_call", "id": "t1", "name": "f", "arguments": '{"a":1}'},
    ]


@pytest.mark.parametrize(
    ("name", "event", "kind"),
    [
        (
            "openai",
            'data: {"error": {"message": "boom", "code": "server_error"}}\n\n',
            "server_error",
        ),
        (
            "openai",
            'data: {"error": {"message": "x", "code": "context_length_exceeded"}}\n\n',
            "context_too_long",
        ),
        (
            "anthropic",
            anthropic_events({"type": "error", "error": {"type": "overloaded_error"}})[0],
            "overloaded",
        ),
    ],
)
async def test_errors_in_the_middle(name: str, event: str, kind: str) -> None:
    begun = SAID[name]("half")[: 4 if name == "anthropic" else 2]
    async with connected(name, Answer(pieces=[*begun, event])) as (provider, _):
        with pytest.raises(errors.ProviderFailed) as failure:
            await asked(provider)
    assert failure.value.reason == kind


@pytest.mark.parametrize("name", SAID)
async def test_models_are_listed(name: str) -> None:
    listed = {
        "object": "list",
        "data": [
            {"id": "m-1", "object": "model", "type": "model", "display_name": "M",
             "created_at": "2026-01-01T00:00:00Z", "meta": {"n_ctx": 2048},
             "max_input_tokens": 2048}
        ],
        "has_more": False,
    }  # fmt: skip
    answer = Answer(pieces=[json.dumps(listed)], kind="application/json")
    async with connected(name, answer) as (provider, _):
        [model] = await soon("the list", provider.models())
    assert (model.name, model.context_tokens) == ("m-1", 2048)


def test_the_page_lists_every_failure() -> None:
    page = Path("docs/how-to/replies.md").read_text()
    for failure in FAILURES.values():
        star = " *" if failure.trips else ""
        again = "yes" if failure.again else "no"
        row = rf"\| `{failure.kind.value}`{re.escape(star)} \| .* \| {again} \|"
        assert re.search(row, page), failure.kind
