"""Renames parameters in errors: the library names its parameters, a user has given options.

One table maps names of the library to options and arguments; their spelling (`--budget`,
`CONVERSATION`) is taken from the invoked command.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from message_service import errors
from message_service.settings import Settings

_STANDS_FOR: dict[str, tuple[str, ...]] = {
    "admin": ("admin",),
    "backup_key_file": ("key_file",),
    "backup_target": ("target",),
    "branch": ("branch",),
    "character_id": ("character",),
    "client_msg_id": ("client_msg_id",),
    "context_tokens": ("context_tokens",),
    "context_window_size": ("window",),
    "fallbacks": ("fallback",),
    "llm_provider": ("provider",),
    "reply_id": ("reply",),
    "client_metadata.client_msg_id": ("client_msg_id",),
    "conversation_id": ("conversation",),
    "format": ("name",),
    "job_id": ("job",),
    "message_id": ("around",),
    "parent_message_id": ("parent",),
    "path": ("paths",),
    "query": ("words",),
    "reason": ("close",),
    "report": ("report_file",),
    "scheduled_for": ("at",),
    "expires_at": ("expires",),
    "depends_on": ("after",),
    "states": ("state",),
    "tenant_id": ("tenant",),
    "token_budget": ("budget",),
    "user_id": ("user",),
}
"""Library name to names of parameters of commands. Names that are the same need no entry."""

_ARGUMENTS: dict[str, str] = {
    "admin=True": "admin",
    "whole_tenant=True": "whole_tenant",
}
"""Arguments of the library that its advice spells out, and the option that gives them."""

_WORDS = re.compile(
    r"(?<![\w.'\"/-])("
    + "|".join(
        sorted(
            (*map(re.escape, _ARGUMENTS), *(name for name in _STANDS_FOR if "_" in name)),
            key=len,
            reverse=True,
        )
    )
    + r")(?![\w./=-])"
)


def name_options(root: Any) -> None:
    """Make every command under `root` raise errors that name options and arguments."""
    for lineage in _commands(root, ()):
        command = lineage[-1]
        if command.callback is not None:
            command.callback = _naming(command.callback, lineage)


def _commands(command: Any, above: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    lineage = (*above, command)
    yield lineage
    for below in getattr(command, "commands", {}).values():
        yield from _commands(below, lineage)


def _naming(callback: Callable[..., Any], lineage: tuple[Any, ...]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def named(*args: Any, **values: Any) -> Any:
        try:
            return callback(*args, **values)
        except errors.InvalidInput as error:
            raise in_words_of(error, lineage) from error
        except errors.ContextBudgetTooSmall as error:
            said = _WORDS.sub(_word(_option_of(lineage)), error.message)
            raise errors.ContextBudgetTooSmall(said, **error.details) from error

    return named


def in_words_of(error: errors.InvalidInput, lineage: tuple[Any, ...]) -> errors.InvalidInput:
    """Return an error that names the options and arguments of a command.

    Args:
        error: As the library raised it.
        lineage: The groups the command belongs to, and the command last.
    """
    option = _option_of(lineage)
    word = _word(option)
    # The problem may quote a file; the fix is always text of the library.
    quotes = isinstance(error, errors.InvalidImport)
    problem = error.problem if quotes else _WORDS.sub(word, error.problem)
    details = {k: v for k, v in error.details.items() if k not in ("field", "fix")}
    return type(error)(option(error.field), problem, _WORDS.sub(word, error.fix), **details)


def _option_of(lineage: tuple[Any, ...]) -> Callable[[str], str]:
    """Return what spells a name of the library as a command does."""
    spelled = {
        parameter.name: _spelling(parameter)
        for command in lineage
        for parameter in command.params
        if parameter.name is not None
    }

    def option(name: str) -> str:
        for candidate in (name, *_STANDS_FOR.get(name, ())):
            if candidate in spelled:
                return spelled[candidate]
        head, dot, rest = name.partition(".")
        if dot:
            return f"{option(head)} ({rest})"
        return f"MESSAGE_SERVICE_{name.upper()}" if name in Settings.model_fields else name

    return option


def _word(option: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: option(_ARGUMENTS.get(found[1], found[1]))


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    longest = max(parameter.opts, key=len)
    return f"{longest} ({parameter.envvar})" if parameter.envvar else str(longest)
