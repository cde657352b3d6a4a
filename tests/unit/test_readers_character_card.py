from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from message_service import errors
from message_service.interchange.formats import png_text
from message_service.interchange.formats.character_card import CHARACTER_CARD, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.records import ImportedConversation, SkippedItem
from support.damaged_json import check, damaged
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["charactercard"]
V1 = {
    "name": "Aqua",
    "description": "A goddess.",
    "personality": "",
    "scenario": "A river",
    "first_mes": "Hello",
    "mes_example": "<START>\n{{user}}: Hi",
}
V2 = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        **V1,
        "creator_notes": "Be kind",
        "system_prompt": "You are {{char}}",
        "post_history_instructions": "Stay",
        "alternate_greetings": ["Hey", "", "Ho"],
        "tags": ["river", 5],
        "creator": "me",
        "character_version": "1",
        "extensions": {
            "fav": True,
            "depth_prompt": {"depth": 4, "prompt": "Deep", "role": "system"},
            "addon": {"x": "words"},
        },
        "character_book": {
            "name": "Book",
            "description": "About",
            "entries": [
                {
                    "id": 7,
                    "keys": ["river"],
                    "content": "It is wet.",
                    "enabled": False,
                    "insertion_order": 10,
                    "comment": "water",
                    "position": "before_char",
                    "use_regex": True,
                },
                {"keys": ["x"], "content": ""},
                {"content": "No id"},
            ],
        },
    },
}
V3 = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        **V2["data"],  # type: ignore[dict-item]
        "nickname": "Aq",
        "creator_notes_multilingual": {"de": "Nett"},
        "source": ["https://x"],
        "group_only_greetings": ["All!"],
        "creation_date": 1700000000,
        "modification_date": 1700000100,
        "assets": [
            {"type": "icon", "uri": "data:image/png;base64,QUJD", "name": "i", "ext": "png"}
        ],
        "novelty": "more words",
    },
}


def chunk(kind: bytes, body: bytes, *, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + body)
    tail = (right if checksum is None else checksum).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + tail


def text_chunk(keyword: str, card: object, **more: Any) -> bytes:
    packed = base64.b64encode(json.dumps(card).encode())
    return chunk(b"tEXt", keyword.encode() + b"\0" + packed, **more)


def png(path: Path, *chunks: bytes, name: str = "Aqua.png") -> Path:
    file = path / name
    start = png_text.SIGNATURE + chunk(b"IHDR", b"\0" * 13) + chunk(b"IDAT", b"p" * 100_000)
    file.write_bytes(start + b"".join(chunks) + chunk(b"IEND", b""))
    return file


def card(path: Path, value: object, name: str = "Aqua.json") -> Path:
    file = path / name
    file.write_text(json.dumps(value))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation


def hidden(conversation: ImportedConversation) -> dict[str, str]:
    return {m.external_id: m.text for m in conversation.messages if m.status == "hidden"}


def test_a_v1_card(tmp_path: Path) -> None:
    conversation = only(card(tmp_path, V1))
    check([conversation])
    assert conversation.external_id == "Aqua/Aqua"
    assert (conversation.title, conversation.character) == ("Aqua", "Aqua")
    assert hidden(conversation) == {
        "description": "A goddess.",
        "scenario": "A river",
        "mes_example": "<START>\n{{user}}: Hi",
    }
    greeting = conversation.messages[-1]
    assert (greeting.external_id, greeting.role, greeting.text) == (
        "first_mes",
        "assistant",
        "Hello",
    )
    assert (greeting.parent, greeting.status, greeting.branch) == ("mes_example", "active", "main")
    assert conversation.messages[0].custom == {"card_field": "description"}


def test_a_v2_card(tmp_path: Path) -> None:
    conversation = only(card(tmp_path, V2))
    check([conversation])
    assert conversation.external_id == "Aqua/Aqua/me"
    assert conversation.custom == {
        "card_spec": "chara_card_v2",
        "creator": "me",
        "character_version": "1",
        "tags": ["river"],
    }
    assert list(hidden(conversation)) == [
        *("description", "scenario", "system_prompt", "post_history_instructions", "mes_example"),
        *("creator_notes", "depth_prompt", "extensions", "character_book/name"),
        *("character_book/description", "character_book/7", "character_book/#3"),
    ]
    by_id = {m.external_id: m for m in conversation.messages}
    assert by_id["character_book/7"].custom == {
        "card_field": "character_book",
        "comment": "water",
        "keys": ["river"],
        "enabled": False,
        "insertion_order": 10,
        "position": "before_char",
        "other_fields": '{"use_regex":true}',
    }
    assert by_id["depth_prompt"].custom["depth"] == 4
    assert by_id["extensions"].parts[0]["data"] == '{"addon":{"x":"words"}}'
    greetings = [m for m in conversation.messages if m.role == "assistant"]
    assert [(m.external_id, m.branch, m.parent) for m in greetings] == [
        ("first_mes", "main", "character_book/#3"),
        ("alternate_greetings/1", "alt-1", "character_book/#3"),
        ("alternate_greetings/3", "alt-2", "character_book/#3"),
    ]
    assert conversation.skipped == [
        SkippedItem("character_book/#2", "lorebook entry without a text"),
        SkippedItem("alternate_greetings/2", "greeting without a text"),
    ]


def test_a_v3_card(tmp_path: Path) -> None:
    conversation = only(card(tmp_path, V3))
    check([conversation])
    assert conversation.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert conversation.updated_at == datetime(2023, 11, 14, 22, 15, tzinfo=UTC)
    assert conversation.custom["nickname"] == "Aq"
    assert conversation.custom["source"] == '["https://x"]'
    assert "QUJD" not in conversation.custom["assets"]
    texts = hidden(conversation)
    assert texts["creator_notes_multilingual/de"] == "Nett"
    by_id = {m.external_id: m for m in conversation.messages}
    assert by_id["other_fields"].parts[0]["data"] == '{"novelty":"more words"}'
    assert by_id["group_only_greetings/1"].text == "All!"


def test_sillytavern_writes_the_fields_of_v1_beside_data(tmp_path: Path) -> None:
    mixed = {**V1, **V2, "creatorcomment": "Be kind", "create_date": "2024-7-12@01h31m37s"}
    conversation = only(card(tmp_path, mixed))
    assert conversation.created_at == datetime(2024, 7, 12, 1, 31, 37, tzinfo=UTC)
    assert hidden(conversation) == hidden(only(card(tmp_path, V2)))


def test_cards_in_pictures(tmp_path: Path) -> None:
    plain = only(card(tmp_path, V2))
    packed = zlib.compress(base64.b64encode(json.dumps(V2).encode()))
    for found in (
        text_chunk("Chara", V2),
        chunk(b"tEXt", b"chara\0" + json.dumps(V2).encode()),
        chunk(b"zTXt", b"chara\0\0" + packed),
        chunk(b"iTXt", b"chara\0\1\0en\0k\0" + packed),
        chunk(b"iTXt", b"chara\0\0\0en\0k\0" + json.dumps(V2).encode()),
    ):
        file = png(tmp_path, text_chunk("other", {}), found)
        assert guess(file) is CHARACTER_CARD
        assert only(file) == plain


def test_the_v3_card_of_a_picture_is_preferred(tmp_path: Path) -> None:
    file = png(tmp_path, text_chunk("chara", V2), text_chunk("ccv3", V3))
    assert only(file).custom["card_spec"] == "chara_card_v3"
    damaged_v3 = text_chunk("ccv3", V3, checksum=1)
    assert only(png(tmp_path, text_chunk("chara", V2), damaged_v3)).custom["card_spec"] == (
        "chara_card_v2"
    )


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [text_chunk("chara", V2, checksum=1)],
        [text_chunk("chara", ["no object"])],
        [chunk(b"tEXt", b"chara\0abc")],
        [chunk(b"zTXt", b"chara\0\0damaged")],
        [chunk(b"zTXt", b"chara\0\0" + zlib.compress(b"x" * 1000)[:-3])],
        [chunk(b"iTXt", b"chara")],
        [text_chunk("chara", {"no": "card"})],
    ],
)
def test_pictures_without_a_sound_card(tmp_path: Path, chunks: list[bytes]) -> None:
    with pytest.raises(errors.InvalidImport, match=r"Aqua\.png (holds|is)"):
        only(png(tmp_path, *chunks))


@pytest.mark.parametrize("cut", [3, 20, 60_000, -20])
def test_truncated_pictures(tmp_path: Path, cut: int) -> None:
    file = png(tmp_path, text_chunk("chara", V2))
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(errors.InvalidImport):
        only(file)


def test_a_card_before_the_damage_is_read(tmp_path: Path) -> None:
    file = png(tmp_path, text_chunk("chara", V2))
    file.write_bytes(file.read_bytes()[:-5])
    assert only(file).title == "Aqua"


def test_large_texts_are_refused_before_they_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("message_service.interchange.reading.sources.MAX_RECORD_BYTES", 10_000)
    bomb = chunk(b"zTXt", b"chara\0\0" + zlib.compress(b"x" * 1_000_000))
    with pytest.raises(errors.InvalidImport, match=r"damaged|without"):
        only(png(tmp_path, bomb))
    with pytest.raises(errors.InvalidImport, match="has over"):
        only(png(tmp_path, chunk(b"tEXt", b"chara\0" + b"x" * 20_000)))


def test_cards_without_a_greeting_or_any_text(tmp_path: Path) -> None:
    greeted = {"spec": "chara_card_v2", "data": {"name": "A", "alternate_greetings": ["Yo"]}}
    conversation = only(card(tmp_path, greeted))
    assert [(m.text, m.branch) for m in conversation.messages] == [("Yo", "main")]
    empty = only(card(tmp_path, {"spec": "chara_card_v2", "data": {"name": "A"}}))
    assert [s.reason for s in empty.skipped] == ["card without texts"]


def test_a_changed_card_keeps_the_ids(tmp_path: Path) -> None:
    before = {m.external_id for m in only(card(tmp_path, V2)).messages}
    after = {m.external_id for m in only(card(tmp_path, V3)).messages}
    assert before < after


@pytest.mark.parametrize(
    "value", [{"data": {"name": "A"}}, {"spec": "chara_card_v2"}, {"mapping": {}}, [V1], "x"]
)
def test_other_files_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(errors.InvalidImport):
        only(card(tmp_path, value))


@pytest.mark.parametrize("text", [SAMPLE, json.dumps(V1), json.dumps({**V1, "z": "x" * 90_000})])
def test_samples_are_recognised(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    assert guess(file) is CHARACTER_CARD
    assert only(file).messages


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=damaged({**V1, **V3}))
def test_damage_anywhere(tmp_path: Path, value: Any) -> None:
    file = png(tmp_path, text_chunk("chara", value))
    try:
        conversations = list(CHARACTER_CARD.read([file]))
    except errors.InvalidImport:
        return
    check(conversations)


def test_a_folder_of_cards_pictures_and_damage(tmp_path: Path) -> None:
    png(tmp_path, text_chunk("chara", V2), name="aqua.png")
    png(tmp_path, name="holiday.png")
    torn = png(tmp_path, text_chunk("chara", V2), name="torn.png")
    torn.write_bytes(torn.read_bytes()[:60])
    found = {conversation.external_id: conversation for conversation in read([tmp_path])}
    assert len([one for one in found.values() if one.messages]) == 1
    assert found["holiday.png"].skipped == [
        SkippedItem("holiday.png", "picture without a character card")
    ]
    assert not found["holiday.png"].unreadable
    assert found["torn.png"].unreadable
    (tmp_path / "aqua.png").unlink()
    with pytest.raises(errors.InvalidImport, match="picture without"):
        list(read([tmp_path]))
