"""No number on the command line can do harm: every option that is one has bounds."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command

from message_service.cli import app
from support.preloaded import PRELOADED
from support.shell import NOWHERE, Cli

ABSURD = ["nan", "inf", "-1", "1e308", str(10**30), "9" * 5_000]


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


def is_number(hint: Any) -> bool:
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return any(isinstance(kind, type) and kind in (int, float) for kind in kinds)


def number_options() -> list[tuple[tuple[str, ...], Any]]:
    """Derive every option and argument that is a number from the commands themselves."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for words, command in commands(get_command(app)):
        if command.callback is None:
            continue
        hints = get_type_hints(command.callback.__wrapped__)
        found += [
            (words, parameter)
            for parameter in command.params
            if is_number(hints.get(parameter.name))
        ]
    return found


OPTIONS = number_options()


def called(words: tuple[str, ...], parameter: Any, value: str) -> list[str]:
    """Return a call that is right but for the number."""
    command: Any = get_command(app)
    for word in words:
        command = command.commands[word]
    required = ["x" for other in command.params if other.required and other is not parameter]
    return [*words, *required, f"{parameter.opts[0]}={value}"]


def test_the_numbers_are_found() -> None:
    names = {(*words, parameter.opts[0]) for words, parameter in OPTIONS}
    assert names >= {
        ("search", "query", "--wait"),
        ("search", "query", "--min-sequence"),
        ("history", "--limit"),
        ("context", "--budget"),
        ("db", "apply", "--wait"),
    }
    assert all(parameter.param_type_name == "option" for _, parameter in OPTIONS)


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: value[:6])
def test_every_number_refuses_what_is_absurd(tmp_path: Path, value: str) -> None:
    cli = Cli(NOWHERE, "numbers", tmp_path)
    calls = [called(words, parameter, value) for words, parameter in OPTIONS]
    outcomes = PRELOADED.run_each(calls, cli.environment)
    for (words, parameter), done in zip(OPTIONS, outcomes, strict=True):
        said = done.err
        assert done.code == 2, (words, said)
        assert said.count("\n") == 1, said
        assert parameter.opts[0] in said
        assert " from " in said
        assert " to " in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOCKET_TIMEOUT", "inf"),
        ("WRITE_DEADLINE", "nan"),
        ("CLOSE_TIMEOUT", "1e308"),
        ("MAX_POOL_SIZE", str(10**30)),
    ],
)
def test_a_setting_that_is_a_number_has_bounds(tmp_path: Path, name: str, value: str) -> None:
    cli = Cli(NOWHERE, "numbers", tmp_path)
    variable = f"MESSAGE_SERVICE_{name}"
    error = cli("conversations", "list", code=2, **{variable: value})
    assert error.startswith(f"error: {variable}: ")
    assert error.count("\n") == 1


def test_a_number_within_its_bounds_is_taken(tmp_path: Path) -> None:
    cli = Cli(NOWHERE, "numbers", tmp_path)
    cli("search", "x", "--all", "--wait", "1.5e1", code=6)
