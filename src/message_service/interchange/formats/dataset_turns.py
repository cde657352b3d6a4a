"""The turns of chat datasets as imported messages."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from message_service.interchange.formats.api_blocks import add_content, add_result
from message_service.interchange.formats.chat_messages import add_calls
from message_service.interchange.reading.assembly import knows_role, role_of
from message_service.interchange.reading.drafts import Draft, as_json
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.records import ImportedMessage, RoleName, present

_LABELS = ("from", "role", "speaker")
_TEXTS = ("value", "content", "text")
_USUAL_LABELS = frozenset(
    (
        *("human", "gpt", "user", "assistant", "system", "tool"),
        *("observation", "function_call", "function"),
    )
)
_THINKING = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_MEDIA = {
    "images": ("image", "<image>"),
    "videos": ("video", "<video>"),
    "audios": ("audio", "<audio>"),
}


def is_turn(value: object) -> bool:
    """Whether a value is a turn: an object with a speaker and what was said."""
    turn = as_object(value) or {}
    return bool(label_of(turn)) and any(name in turn for name in (*_TEXTS, "tool_calls"))


def label_of(turn: dict[str, Any]) -> str:
    """Return the label of a turn's speaker."""
    return next(filter(None, (as_text(turn.get(name)) for name in _LABELS)), "")


def text_of(turn: dict[str, Any]) -> object:
    """Return what was said: a text, or blocks of one of the APIs."""
    return next((turn[name] for name in _TEXTS if turn.get(name) is not None), None)


def listed(value: object) -> list[Any]:
    """Return a list as it is, and any other value as the only item of a list."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal; values that are nested too deeply are not."""
    try:
        return one == other
    except RecursionError:
        return False


def message_of(draft: Draft, label: str, value: object, turn: dict[str, Any]) -> ImportedMessage:
    """Add what was said to a draft, and return the message without an id.

    A label that is no role is a speaker's name: such a turn is a user's.
    """
    role: RoleName = role_of(label) if knows_role(label) else "user"
    name = as_text(turn.get("name"))
    if role == "tool":
        add_result(draft, turn.get("tool_call_id"), value, name=name)
    elif label.lower() == "function_call":
        _add_function_call(draft, value)
    elif role == "assistant" and isinstance(value, str):
        _add_reply(draft, value)
    else:
        add_content(draft, value)
    add_calls(draft, turn)
    return ImportedMessage(
        external_id="",
        role=role,
        text="",
        sender=None if knows_role(label) else label,
        llm_model=as_text(turn.get("model")) if role == "assistant" else None,
        custom=present(
            {
                "original_role": label if label.lower() not in _USUAL_LABELS else None,
                "name": name if role != "tool" else None,
                "weight": as_number(turn.get("weight")),
            }
        ),
    )


class Media:
    """The files that a record lists beside its turns; the texts mark their places."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._waiting = {name: list(as_list(record.get(name))) for name in _MEDIA}

    def place(self, draft: Draft, text: object) -> None:
        """Add the files whose places a text marks."""
        if not isinstance(text, str):
            return
        for name, (kind, mark) in _MEDIA.items():
            waiting = self._waiting[name]
            for _ in range(text.count(mark)):
                if waiting and isinstance(waiting[0], str):
                    draft.attach(kind, pointer=waiting.pop(0))

    def left(self) -> dict[str, Any]:
        """Return the files without a place, as JSON text by name."""
        return present({name: as_json(files) for name, files in self._waiting.items() if files})


def _add_reply(draft: Draft, text: str) -> None:
    """Add a model's text; what it thought stands before it in a `<think>` element."""
    thought = _THINKING.match(text)
    if thought is not None:
        draft.reason(thought[1].strip())
        text = text[thought.end() :]
    draft.say(text)


def _add_function_call(draft: Draft, value: object) -> None:
    """Add calls given as JSON text, one or a list; text that is no call stays text."""
    given: object = value
    if isinstance(value, str):
        try:
            given = json.loads(value)
        except (ValueError, RecursionError):
            given = None
    calls = [as_object(call) or {} for call in listed(given)]
    if calls and all(as_text(call.get("name")) is not None for call in calls):
        for call in calls:
            draft.call(call.get("id"), call.get("name"), call.get("arguments"))
    else:
        add_content(draft, value)
