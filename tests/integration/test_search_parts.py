"""Search in messages with parts: names of files and tools, arguments, has:tool and others."""

from __future__ import annotations

from typing import Any

import pytest

from message_service import MessageService

USER = "user_000000000001"
TOLD: list[tuple[str, dict[str, Any]]] = [
    ("user", {"text": "plain words"}),
    (
        "user",
        {
            "text": "look at this",
            "parts": [{"type": "attachment", "kind": "image", "name": "zebra_finch-2031.png"}],
        },
    ),
    (
        "assistant",
        {"tool_calls": [{"id": "c", "name": "getWeather", "arguments": '{"city": "Lima"}'}]},
    ),
    ("tool", {"text": "eighteen degrees", "tool_call_id": "c"}),
    (
        "assistant",
        {
            "parts": [
                {"type": "reasoning", "text": "They want the temperature."},
                {"type": "text", "text": "It is mild."},
            ]
        },
    ),
    ("assistant", {"parts": [{"type": "reasoning", "text": "A quokka lives here."}]}),
    ("tool", {"text": "an older tool's answer"}),
]


@pytest.fixture
async def conversation(service: MessageService) -> str:
    chat = (await service.conversations.create(USER)).conversation_id
    for role, fields in TOLD:
        await service.messages.append(chat, role, **fields)
    await service.search_index.drain()
    return chat


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("finch", [2]),
        ("zebra_finch-2031.png", [2]),
        ("2031", [2]),
        ("getWeather", [3]),
        ("weather", [3]),
        ("lima", [3]),
        ("eighteen", [4]),
        ("temperature", []),  # reasoning beside an answer is not looked through
        ("quokka", [6]),
        ("has:tool", [3, 4, 7]),
        ("has:attachment", [2]),
        ("has:reasoning", [5, 6]),
        ("has:reasoning mild", [5]),
        ("-has:attachment look", []),
    ],
)
async def test_what_is_found(
    service: MessageService, conversation: str, query: str, numbers: list[int]
) -> None:
    page = await service.search.find(query, conversation_id=conversation)
    assert sorted(hit.message.sequence_number for hit in page) == numbers


async def test_the_snippet_shows_the_file_that_was_found(
    service: MessageService, conversation: str
) -> None:
    [hit] = (await service.search.find("finch", conversation_id=conversation)).items
    assert hit.snippet.marked() == "look at this\nzebra_**finch**-2031.png"
    assert hit.message.parts[1].type == "attachment"


async def test_an_edit_of_the_parts_is_searchable(
    service: MessageService, conversation: str
) -> None:
    message = (await service.messages.history(conversation)).items[1]
    file = {"type": "attachment", "name": "heron.png"}
    await service.messages.edit(conversation, message.message_id, "look", parts=[file])
    # Before the index has seen the change, what no longer matches is not shown.
    assert not (await service.search.find("finch", conversation_id=conversation)).items
    await service.search_index.drain()
    assert not (await service.search.find("finch", conversation_id=conversation)).items
    assert len((await service.search.find("heron", conversation_id=conversation)).items) == 1
