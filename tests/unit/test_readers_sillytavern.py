from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from message_service import errors
from message_service.interchange.formats.sillytavern import SILLYTAVERN, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
)
from support.damaged_json import check, damaged
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["sillytavern"]
Line = dict[str, Any]
HEADER: Line = {
    "user_name": "User",
    "character_name": "Aqua",
    "create_date": "2024-7-12@01h31m37s",
    "chat_metadata": {"integrity": "x", "note_prompt": "Stay calm."},
}


def line(mes: object, *, user: bool = False, name: str | None = None, **more: Any) -> Line:
    who = name or ("User" if user else "Aqua")
    base = {"name": who, "is_user": user, "is_system": False, "mes": mes}
    return {**base, "send_date": "June 19, 2023 2:20pm", **more}


FULL = [
    HEADER,
    line(
        "Hello",
        swipe_id=1,
        swipes=["Hi", "Hello", ""],
        swipe_info=[
            {"send_date": 1689110000000, "extra": {"api": "claude", "model": "opus"}},
            {},
        ],
        extra={
            "api": "openai",
            "model": "gpt-4o",
            "reasoning": "Greet.",
            "token_count": 10,
            "display_text": "Bonjour",
            "weather": "sunny",
        },
        gen_started="2024-07-12T01:31:37.000Z",
        variables=[{"hp": 3}],
    ),
    line(
        "Look",
        user=True,
        extra={
            "media": [{"url": "user/images/cat.png", "type": "image", "title": "a cat"}],
            "image": "user/images/cat.png",
            "files": [{"url": "f/a.txt", "name": "a.txt", "size": 5, "text": "in the file"}],
        },
    ),
    line(
        "<details>Tool calls</details>",
        name="SillyTavern System",
        is_system=True,
        extra={
            "isSmallSys": True,
            "tool_invocations": [
                {"id": "t1", "name": "Roll", "parameters": '{"d":6}', "result": "4"},
                {"name": "Look", "parameters": {"at": "x"}, "result": {"y": 1}},
            ],
        },
    ),
    line("A cat!"),
    line("Night falls.", extra={"type": "narrator"}),
    line("out of sight", user=True, is_system=True),
    line("A note", name="Note", is_system=True, extra={"type": "comment"}),
]


def chat(path: Path, *lines: object, name: str = "Aqua - 2024.jsonl") -> Path:
    file = path / name
    file.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation


def shown(conversation: ImportedConversation) -> list[ImportedMessage]:
    return [message for message in conversation.messages if message.branch == "main"]


def test_a_full_chat(tmp_path: Path) -> None:
    conversation = only(chat(tmp_path, *FULL))
    check([conversation])
    assert conversation.external_id == "Aqua/Aqua - 2024"
    assert conversation.title == "Aqua - 2024"
    assert (conversation.sender, conversation.character) == ("User", "Aqua")
    assert conversation.created_at == datetime(2024, 7, 12, 1, 31, 37, tzinfo=UTC)
    assert conversation.custom == {
        "note_prompt": "Stay calm.",
        "chat_metadata": '{"integrity":"x"}',
    }
    assert conversation.records == 7
    assert conversation.skipped == [SkippedItem("1/swipe-2", "swipe without a text")]
    hello, look, tools, cat, night, unseen, note = shown(conversation)
    assert hello.external_id == "1/swipe-1"
    assert hello.parts == [
        {"type": "reasoning", "text": "Greet."},
        {"type": "text", "text": "Hello"},
        {"type": "other", "name": "display_text", "data": '"Bonjour"'},
    ]
    assert (hello.llm_provider, hello.llm_model) == ("openai", "gpt-4o")
    assert hello.created_at == datetime(2023, 6, 19, 14, 20, tzinfo=UTC)
    assert hello.custom == {
        "token_count": 10,
        "generation_started": "2024-07-12T01:31:37+00:00",
        "content_type": "display_text",
        "extra": '{"weather":"sunny"}',
        "other_fields": '{"variables":[{"hp":3}]}',
    }
    (swipe,) = [m for m in conversation.messages if m.branch != "main"]
    assert (swipe.external_id, swipe.text, swipe.parent) == ("1/swipe-0", "Hi", None)
    assert (swipe.llm_provider, swipe.llm_model) == ("claude", "opus")
    assert swipe.created_at == datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)
    assert (look.role, look.sender) == ("user", None)
    assert look.parts == [
        {"type": "text", "text": "Look"},
        {
            "type": "attachment",
            "kind": "document",
            "name": "a.txt",
            "mime_type": "text/plain",
            "size": 5,
            "pointer": "f/a.txt",
        },
        {"type": "text", "text": "in the file"},
        {
            "type": "attachment",
            "kind": "image",
            "name": "cat.png",
            "mime_type": "image/png",
            "pointer": "user/images/cat.png",
        },
        {"type": "text", "text": "a cat"},
    ]
    assert (tools.role, tools.status) == ("assistant", "active")
    assert tools.parts == [
        {"type": "tool_call", "id": "t1", "name": "Roll", "arguments": '{"d":6}'},
        {"type": "tool_result", "call_id": "t1", "status": "ok", "name": "Roll", "text": "4"},
        {"type": "tool_call", "id": "3/swipe-0/2", "name": "Look", "arguments": '{"at":"x"}'},
        {
            "type": "tool_result",
            "call_id": "3/swipe-0/2",
            "status": "ok",
            "name": "Look",
            "text": '{"y":1}',
        },
    ]
    assert (cat.text, cat.role, cat.custom) == ("A cat!", "assistant", {})
    assert (night.role, night.status) == ("system", "active")
    assert (unseen.role, unseen.status) == ("user", "hidden")
    assert (note.role, note.status, note.custom["name"]) == ("system", "hidden", "Note")


def test_headers_of_newer_files_have_no_names(tmp_path: Path) -> None:
    header = HEADER | {"user_name": "unused", "character_name": "unused"}
    system = line("Welcome", name="SillyTavern System", is_system=True)
    conversation = only(chat(tmp_path, header, system, line("Hi"), line("Yo", user=True)))
    assert (conversation.sender, conversation.character) == ("User", "Aqua")


def test_group_chats_had_no_header(tmp_path: Path) -> None:
    lines = [line("Hi"), line("Yo", name="Bea"), line("Ho", user=True, name="Other")]
    bare = only(chat(tmp_path, *lines, name="2024-7-12.jsonl"))
    headed = only(chat(tmp_path, HEADER, *lines, name="2024-7-12.jsonl"))
    assert bare.external_id == headed.external_id == "Aqua/2024-7-12"
    assert [m.external_id for m in bare.messages] == [m.external_id for m in headed.messages]
    assert [m.custom.get("name") for m in bare.messages] == [None, "Bea", None]
    assert [m.sender for m in headed.messages] == [None, None, "Other"]


def test_a_grown_chat_keeps_the_ids(tmp_path: Path) -> None:
    before = only(chat(tmp_path, HEADER, line("Hi"), line("Yo", user=True), line("first")))
    again = line("second", swipe_id=1, swipes=["first", "second"])
    after = only(chat(tmp_path, HEADER, line("Hi"), line("Yo", user=True), again, line("on")))
    texts = {m.external_id: m.text for m in after.messages}
    assert {m.external_id: m.text for m in before.messages}.items() <= texts.items()
    assert [m.text for m in shown(after)] == ["Hi", "Yo", "second", "on"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"swipe_id": 0, "swipes": ["old", "b"]}, ["1/swipe-0", "1/swipe-0/stored", "1/swipe-1"]),
        ({"swipe_id": 9, "swipes": ["a", "new"]}, ["1/swipe-1", "1/swipe-0"]),
        ({"swipe_id": 9, "swipes": ["a"]}, ["1/shown", "1/swipe-0"]),
        ({"swipes": "new"}, ["1/swipe-0"]),
        ({"swipes": ["new", {"message": "b"}], "swipe_id": 0}, ["1/swipe-0", "1/swipe-1"]),
    ],
)
def test_swipes_that_do_not_fit(tmp_path: Path, more: Line, expected: list[str]) -> None:
    conversation = only(chat(tmp_path, HEADER, line("new", **more)))
    assert [m.external_id for m in conversation.messages] == expected
    assert conversation.messages[0].text == "new"


def test_facts_of_swipes_may_be_an_object(tmp_path: Path) -> None:
    info = {"1": {"extra": {"model": "m"}}}
    conversation = only(
        chat(tmp_path, HEADER, line("a", swipe_id=0, swipes=["a", "b"], swipe_info=info))
    )
    assert conversation.messages[1].llm_model == "m"


def test_chub_wraps_texts(tmp_path: Path) -> None:
    conversation = only(chat(tmp_path, HEADER, line({"message": "Hi"})))
    assert conversation.messages[0].text == "Hi"


def test_damaged_lines_are_listed(tmp_path: Path) -> None:
    conversation = only(
        chat(tmp_path, HEADER, line("a"), '{"mes": ', "", "[]", line(""), line("b"))
    )
    assert [m.external_id for m in conversation.messages] == ["1/swipe-0", "5/swipe-0"]
    assert conversation.records == 5
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [
        ("line 3", "line without a message"),
        ("line 5", "line without a message"),
        ("4/swipe-0", "empty message"),
    ]


def test_pictures_in_the_file_become_attachments_without_bytes(tmp_path: Path) -> None:
    picture = "data:image/png;base64,QUJD"
    conversation = only(chat(tmp_path, HEADER, line("", extra={"image": picture, "own": picture})))
    (message,) = conversation.messages
    assert message.parts[0]["size"] == 3
    assert "pointer" not in message.parts[0]
    assert "QUJD" not in json.dumps([message.parts, message.custom])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1689110000000, datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)),
        ("1689110000000", datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)),
        (1689110000, datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)),
        (1689110000000000, datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)),
        ({"$date": "2023-07-11T21:13:20Z"}, datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC)),
        (
            {"$date": {"$numberLong": "1689110000000"}},
            datetime(2023, 7, 11, 21, 13, 20, tzinfo=UTC),
        ),
        ("2024-07-12T01:31:37.123Z", datetime(2024, 7, 12, 1, 31, 37, 123000, UTC)),
        ("June 19, 2023 2:20pm", datetime(2023, 6, 19, 14, 20, tzinfo=UTC)),
        ("Jun 9, 2023 12:05AM", datetime(2023, 6, 9, 0, 5, tzinfo=UTC)),
        ("2024-07-12@01h31m37s123ms", datetime(2024, 7, 12, 1, 31, 37, 123000, UTC)),
        ("2024-7-12@01h31m37s", datetime(2024, 7, 12, 1, 31, 37, tzinfo=UTC)),
        ("2024-6-5 @14h 56m 50s 682ms", datetime(2024, 6, 5, 14, 56, 50, 682000, UTC)),
        *((bad, None) for bad in ("juin 19, 2023 2:20pm", "2024-13-40@99h99m99s", "", None, True)),
        *((bad, None) for bad in ([], {}, {"$date": []}, 1e300, "9" * 40, "Foo 1, 2023 2:20pm")),
    ],
)
def test_dates_of_all_eras(text: object, expected: datetime | None) -> None:
    assert from_any(text) == expected


@pytest.mark.parametrize(
    "text", ['{"messages": []}', "[1]", "x\n" * 30, '{"role": "user", "content": "x"}\n']
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = chat(tmp_path, text)
    with pytest.raises(errors.InvalidImport, match="is not a SillyTavern chat"):
        list(read([file]))


def test_a_file_is_refused_before_it_is_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidImport, match="is not a SillyTavern chat"):
        list(read([chat(tmp_path, *["x"] * 25, line("too late"))]))


def test_a_chat_without_messages(tmp_path: Path) -> None:
    conversation = only(chat(tmp_path, HEADER))
    assert [s.reason for s in conversation.skipped] == ["chat without messages"]


@pytest.mark.parametrize("text", [SAMPLE, SAMPLE.partition("\n")[2], json.dumps(FULL[1])])
def test_the_samples_are_recognised(tmp_path: Path, text: str) -> None:
    file = chat(tmp_path, text)
    assert guess(file) is SILLYTAVERN
    assert len(only(file).messages) >= 1


def test_a_long_first_line_is_recognised(tmp_path: Path) -> None:
    assert guess(chat(tmp_path, line("long " * 20_000))) is SILLYTAVERN


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=damaged(FULL))
def test_damage_anywhere(tmp_path: Path, value: Any) -> None:
    file = chat(tmp_path, *(json.dumps(one) for one in value))
    try:
        conversations = list(SILLYTAVERN.read([file]))
    except errors.InvalidImport:
        return
    check(conversations)
