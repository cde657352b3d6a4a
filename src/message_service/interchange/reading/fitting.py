"""Makes ids, names and custom facts storable, so that one odd value cannot stop an import.

Texts and titles are not changed here: the importer repairs and counts those that cannot be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from message_service.interchange.reading.records import ImportedConversation

MAX_CUSTOM_BYTES = 12 * 1024
"""Bound on custom facts: three quarters of a message's limit, because the importer adds facts."""

_MAX_NAME = 256
_PER_VALUE = 8  # upper bound for a value of fixed size, or for a text's or list's length and end


def fitted(conversation: ImportedConversation) -> ImportedConversation:
    r"""Make a conversation's ids, names and custom facts storable, in place, and return it.

    A lone surrogate in them becomes its escape (`\ud800`), names of models are cut at 256
    characters, and the largest custom facts are left out until the rest fits `MAX_CUSTOM_BYTES`;
    the custom fact `left_out` lists their names.
    """
    conversation.external_id = _sound(conversation.external_id)
    conversation.sender = _sound_or_none(conversation.sender)
    conversation.character = _sound_or_none(conversation.character)
    conversation.custom = _custom(conversation.custom)
    for message in conversation.messages:
        message.external_id = _sound(message.external_id)
        message.parent = _sound_or_none(message.parent)
        message.reply_to = _sound_or_none(message.reply_to)
        message.sender = _sound_or_none(message.sender)
        if message.llm_model is not None:
            message.llm_model = _sound(message.llm_model)[:_MAX_NAME]
        message.custom = _custom(message.custom)
    conversation.branches = [
        replace(branch, fork=_sound_or_none(branch.fork)) for branch in conversation.branches
    ]
    conversation.skipped = [
        replace(item, external_id=_sound_or_none(item.external_id), reason=_sound(item.reason))
        for item in conversation.skipped
    ]
    return conversation


def _sound(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _sound_or_none(text: str | None) -> str | None:
    return None if text is None else _sound(text)


def _custom(facts: Mapping[str, Any]) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    sound: dict[str, Any] = {}
    for given, value in facts.items():
        name = _sound(given)
        sound[name], size = _measured(value)
        sizes[name] = size + len(name.encode()) + _PER_VALUE
    left_out: list[str] = []
    while sum(sizes.values()) > MAX_CUSTOM_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        left_out.append(largest)
        del sizes[largest], sound[largest]
    if left_out:
        sound["left_out"] = sorted(left_out)
    return sound


def _measured(value: object) -> tuple[Any, int]:
    """Return a value without lone surrogates, and an upper bound on its stored size in bytes.

    Readers create custom facts with only a few levels, so recursion is safe.
    """
    if isinstance(value, str):
        text = _sound(value)
        return text, len(text.encode()) + _PER_VALUE
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        size = _PER_VALUE
        for name, inner in cast("Mapping[str, Any]", value).items():
            sound = _sound(name)
            found[sound], inner_size = _measured(inner)
            size += len(sound.encode()) + inner_size + _PER_VALUE
        return found, size
    if isinstance(value, list):
        pairs = [_measured(inner) for inner in cast("list[Any]", value)]
        # BSON stores each item under its position, a name of at most eight digits.
        return [found for found, _ in pairs], sum(size + 2 * _PER_VALUE for _, size in pairs)
    return value, _PER_VALUE
