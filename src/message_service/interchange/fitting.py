"""Makes what a source says beside the texts storable, so that one odd value cannot stop an import.

Texts and titles are not touched: what cannot be stored of them is the importer's to repair and to
count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from message_service.interchange.records import ImportedConversation

MAX_CUSTOM_BYTES = 12 * 1024
"""Bound on custom facts: three quarters of what a message may have; the importer adds its own."""

_MAX_NAME = 256
_PER_VALUE = 8  # a value of fixed size, at most; or a text's or list's length and end


def fitted(conversation: ImportedConversation) -> ImportedConversation:
    r"""Return the conversation with ids, names and custom facts made storable, in place.

    A lone surrogate in them becomes its escape (`\ud800`), names of models are cut at 256
    characters, and the largest custom facts are left out, by name in `left_out`, until the rest
    fits `MAX_CUSTOM_BYTES`.
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
    """Return a value without lone surrogates, and no less than the bytes it takes when stored.

    Custom facts are made by the readers, few levels deep: recursion is safe.
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
        # Stored under their positions, of at most eight digits.
        return [found for found, _ in pairs], sum(size + 2 * _PER_VALUE for _, size in pairs)
    return value, _PER_VALUE
