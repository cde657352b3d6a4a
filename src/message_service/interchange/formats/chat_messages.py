"""The messages of the OpenAI and Anthropic APIs as imported messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from message_service.interchange.formats.api_blocks import (
    add_annotations,
    add_block,
    add_content,
    add_openai_call,
    add_result,
)
from message_service.interchange.reading import moments
from message_service.interchange.reading.assembly import Assembly, role_of
from message_service.interchange.reading.drafts import Draft
from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.records import ImportedMessage, RoleName, present

_OWN_ROLES = ("user", "assistant", "system", "tool")


def add_chat_message(
    assembly: Assembly,
    message: dict[str, Any],
    own: str,
    *,
    model: str | None = None,
    provider: str | None = None,
    created_at: datetime | None = None,
) -> None:
    """Add a message with a role and content, of either API.

    Args:
        assembly: The conversation.
        message: The message.
        own: Its id.
        model: The model that wrote it, if it is the assistant's and names no model itself.
        provider: The provider of that model.
        created_at: When it was written, if the message itself does not say so.
    """
    given_role = as_text(message.get("role")) or ""
    role = role_of(given_role)
    draft = assembly.draft()
    _add_reasoning(draft, message)
    name = as_text(message.get("name"))
    if role == "tool":
        add_result(draft, message.get("tool_call_id"), message.get("content"), name=name)
    else:
        add_content(draft, message.get("content"))
    add_annotations(draft, message.get("annotations"), 0)
    draft.refuse(message.get("refusal"))
    _add_audio(draft, message.get("audio"))
    add_calls(draft, message)
    if role == "user" and _is_tools_turn(message.get("content")):
        role = "tool"
    written = role == "assistant"
    assembly.add(
        ImportedMessage(
            external_id=own,
            role=role,
            text="",
            sender=name if role == "user" else None,
            created_at=_moment_of(message) or created_at,
            llm_model=(as_text(message.get("model")) or model) if written else None,
            llm_provider=provider if written else None,
            custom=present(
                {
                    "original_role": given_role if given_role not in _OWN_ROLES else None,
                    "name": name if role != "tool" else None,
                    "weight": as_number(message.get("weight")),
                    "stop_reason": as_text(message.get("stop_reason")),
                }
            ),
        ),
        draft,
    )


def add_item(
    assembly: Assembly,
    item: dict[str, Any],
    own: str,
    *,
    model: str | None = None,
    created_at: datetime | None = None,
) -> None:
    """Add an item of the Responses API that has no role; see `add_chat_message`."""
    kind = as_text(item.get("type")) or ""
    role: RoleName = "tool" if kind.endswith("_output") else "assistant"
    draft = assembly.draft()
    add_block(draft, item)
    written = role == "assistant"
    assembly.add(
        ImportedMessage(
            external_id=own,
            role=role,
            text="",
            created_at=created_at,
            llm_model=model if written else None,
        ),
        draft,
    )


def add_calls(draft: Draft, message: dict[str, Any]) -> None:
    """Add the calls of a message in OpenAI's form, or the single call of its old form."""
    for call in as_list(message.get("tool_calls")):
        add_openai_call(draft, call)
    old = as_object(message.get("function_call"))
    if old is not None:
        draft.call(None, old.get("name"), old.get("arguments"))


def _moment_of(message: dict[str, Any]) -> datetime | None:
    """Return a message's time: the APIs give none, but programs that log messages add it."""
    for name in ("created_at", "timestamp"):
        given = message.get(name)
        moment = moments.from_iso(given) or moments.from_unix(given)
        if moment is not None:
            return moment
    return None


def _is_tools_turn(content: object) -> bool:
    """Whether a user's message only brings results, which is Anthropic's form of a tool's turn."""
    kinds = {as_text((as_object(block) or {}).get("type")) for block in as_list(content)}
    return kinds == {"tool_result"}


def _add_reasoning(draft: Draft, message: dict[str, Any]) -> None:
    """Add what other vendors with OpenAI's API call reasoning; some give it in several forms."""
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        given = message.get(name)
        if given and not draft.parts:
            if isinstance(given, str):
                draft.reason(given)
            else:
                draft.other(name, given)


def _add_audio(draft: Draft, value: object) -> None:
    audio = as_object(value)
    if audio is None:
        return
    draft.say(audio.get("transcript"))
    draft.attach("audio", pointer=as_text(audio.get("id")), data=as_text(audio.get("data")))
