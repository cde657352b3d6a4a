"""LangChain's messages (`{"type": ..., "data": {...}}`) as imported messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from message_service.interchange.formats.api_blocks import add_content, add_openai_call, add_result
from message_service.interchange.formats.chat_messages import add_calls
from message_service.interchange.reading.assembly import Assembly, knows_role, role_of
from message_service.interchange.reading.drafts import Draft, as_json
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.records import ImportedMessage, RoleName, present

_MODEL_NAMES = ("model_name", "model", "model_id")
_MAX_NAME = 256


def is_langchain_message(value: object) -> bool:
    """Whether a value is a message as LangChain writes it."""
    message = as_object(value) or {}
    return as_text(message.get("type")) is not None and as_object(message.get("data")) is not None


def add_langchain_message(
    assembly: Assembly, message: dict[str, Any], own: str, created_at: datetime | None
) -> None:
    """Add a message.

    Args:
        assembly: The conversation.
        message: An object that `is_langchain_message` accepts.
        own: Its id.
        created_at: When it was written.
    """
    # The type of a streamed message is the name of its class: AIMessageChunk.
    kind = message["type"].removesuffix("Chunk").removesuffix("Message").lower()
    data: dict[str, Any] = message["data"]
    if kind == "remove":
        assembly.skip(own, "asks to remove a message")
        return
    label = as_text(data.get("role")) or "" if kind == "chat" else kind
    role = _role(kind, label)
    more = as_object(data.get("additional_kwargs")) or {}
    about = as_object(data.get("response_metadata")) or {}
    name = as_text(data.get("name"))
    draft = assembly.draft()
    draft.reason(more.get("reasoning_content"))
    if role == "tool":
        failed = data.get("status") == "error"
        add_result(draft, data.get("tool_call_id"), data.get("content"), name=name, failed=failed)
    else:
        add_content(draft, data.get("content"))
    draft.refuse(more.get("refusal"))
    broken = _add_all_calls(draft, data, more)
    if data.get("artifact") is not None:
        draft.other("artifact", data["artifact"])
    model = next(filter(None, (as_text(about.get(given)) for given in _MODEL_NAMES)), None)
    provider = as_text(about.get("model_provider"))
    written = role == "assistant"
    given_id = as_text(data.get("id"))
    assembly.add(
        ImportedMessage(
            external_id=own,
            role=role,
            text="",
            sender=name if role == "user" else None,
            created_at=created_at,
            llm_model=model if written else None,
            llm_provider=provider[:_MAX_NAME] if provider and written else None,
            custom=present(
                {
                    "original_role": _original(kind, label),
                    "name": name if role != "tool" else None,
                    "message_id": given_id if given_id != own else None,
                    "example": data.get("example") is True or None,
                    "invalid_tool_calls": broken,
                }
            ),
        ),
        draft,
    )


def _role(kind: str, label: str) -> RoleName:
    if knows_role(label):
        return role_of(label)
    return "user" if kind == "chat" else "system"


def _original(kind: str, label: str) -> str | None:
    """Return a label that our role does not tell."""
    return label or None if kind in ("chat", "developer") or not knows_role(label) else None


def _add_all_calls(draft: Draft, data: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """Add the calls of a message; return the errors of those whose arguments are no JSON.

    As in LangChain, the calls in the provider's form count only when there are no others.
    """
    calls, invalid = as_list(data.get("tool_calls")), as_list(data.get("invalid_tool_calls"))
    known = {part["id"]: part for part in draft.parts if part["type"] == "tool_call"}
    broken: list[str] = []
    for value in [*calls, *invalid]:
        call = as_object(value) or {}
        own = call.get("id")
        part = known.get(own) if isinstance(own, str) else None
        if part is not None:
            _complete(part, call.get("args"))
        elif as_text(call.get("name")) is None:
            add_openai_call(draft, value)
        else:
            draft.call(own, call.get("name"), call.get("args"))
        error = as_text(call.get("error"))
        if error is not None:
            broken.append(error)
    if not calls and not invalid and not known:
        add_calls(draft, more)
    return broken


def _complete(part: dict[str, Any], arguments: object) -> None:
    """Set the arguments of a call that the content has too, where a streamed one is incomplete."""
    if isinstance(arguments, dict) and part["arguments"] in ("", "{}", '""'):
        part["arguments"] = as_json(cast("object", arguments)) or ""
