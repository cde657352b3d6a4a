"""What the content types of ChatGPT exports become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.chatgpt_nodes import export, node, only

CONTENTS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"content_type": "text", "parts": ["a", "b"]}, "a\nb", {}),
    ({"content_type": "code", "language": "python", "text": "1"}, "1", {"code_language": "python"}),
    ({"content_type": "code", "language": "unknown", "text": "1"}, "1", {}),
    ({"content_type": "execution_output", "text": "out"}, "out", {}),
    (
        {"content_type": "tether_quote", "url": "http://x", "title": "T", "text": "quoted"},
        "quoted",
        {"source_url": "http://x", "source_title": "T"},
    ),
    ({"content_type": "tether_browsing_display", "result": "R", "summary": ""}, "R", {}),
    (
        {"content_type": "user_editable_context", "user_profile": "P", "user_instructions": "I"},
        "P\nI",
        {},
    ),
    ({"content_type": "never_seen", "text": "still text"}, "still text", {}),
    ({"content_type": "citable_code_output", "output_str": "rows: 12"}, "rows: 12", {}),
    ({"content_type": "some_future_type", "body": "kept", "name": "x"}, "kept", {}),
]


@pytest.mark.parametrize(("content", "text", "custom"), CONTENTS)
def test_content_types(
    tmp_path: Path, content: dict[str, Any], text: str, custom: dict[str, Any]
) -> None:
    (message,) = only(export(tmp_path, node("n", None, content=content))).messages
    assert message.text == text
    if content["content_type"] != "text":
        custom = {"content_type": content["content_type"]} | custom
    assert message.custom == custom


IMAGE = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://f1", "size_bytes": 9}
VOICE = {
    "content_type": "real_time_user_audio_video_asset_pointer",
    "audio_asset_pointer": {
        "content_type": "audio_asset_pointer",
        "asset_pointer": "sediment://a1",
        "format": "wav",
    },
    "video_container_asset_pointer": None,
    "frames_asset_pointers": [],
}
IMAGE_PART = {"type": "attachment", "kind": "image", "size": 9, "pointer": "sediment://f1"}
PARTS: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = [
    (
        {"content_type": "multimodal_text", "parts": [IMAGE]},
        {"attachments": [{"id": "f1", "name": "tree.jpg", "mime_type": "image/jpeg"}]},
        [IMAGE_PART | {"name": "tree.jpg", "mime_type": "image/jpeg"}],
    ),
    (
        {
            "content_type": "multimodal_text",
            "parts": [
                IMAGE,
                "what is this?",
                {"content_type": "audio_transcription", "text": "spoken", "direction": "in"},
                VOICE,
                {"no": "type"},
            ],
        },
        {},
        [
            IMAGE_PART,
            {"type": "text", "text": "what is this?"},
            {"type": "text", "text": "spoken"},
            {"type": "attachment", "kind": "audio", "pointer": "sediment://a1"},
            {"type": "other", "name": "part", "data": '{"no": "type"}'},
        ],
    ),
    (
        {"content_type": "text", "parts": ["read this"]},
        {"attachments": [{"id": "f2", "name": "a.pdf", "mime_type": "application/pdf", "size": 3}]},
        [
            {"type": "text", "text": "read this"},
            {
                "type": "attachment",
                "kind": "document",
                "name": "a.pdf",
                "mime_type": "application/pdf",
                "size": 3,
                "pointer": "f2",
            },
        ],
    ),
    (
        {
            "content_type": "thoughts",
            "thoughts": [{"summary": "S", "content": "C"}, {"content": "D"}, None],
        },
        {},
        [{"type": "reasoning", "text": "S\nC"}, {"type": "reasoning", "text": "D"}],
    ),
    (
        {"content_type": "reasoning_recap", "content": "Thought for 2s"},
        {},
        [{"type": "reasoning", "text": "Thought for 2s"}],
    ),
    (
        {"content_type": "text", "parts": ["see there"]},
        {
            "citations": [{"metadata": {"url": "https://a", "title": "A"}}],
            "content_references": [
                {"type": "grouped_webpages", "items": [{"url": "https://a"}, {"url": "https://b"}]}
            ],
        },
        [
            {"type": "text", "text": "see there"},
            {"type": "citation", "url": "https://a", "title": "A"},
            {"type": "citation", "url": "https://b"},
        ],
    ),
    (
        {"content_type": "new_kind", "deep": {"text": "inside"}},
        {},
        [
            {
                "type": "other",
                "name": "new_kind",
                "data": '{"content_type": "new_kind", "deep": {"text": "inside"}}',
            }
        ],
    ),
]


@pytest.mark.parametrize(("content", "metadata", "parts"), PARTS)
def test_messages_that_are_more_than_text(
    tmp_path: Path, content: dict[str, Any], metadata: dict[str, Any], parts: list[dict[str, Any]]
) -> None:
    file = export(tmp_path, node("n", None, content=content, metadata=metadata))
    (message,) = only(file).messages
    assert (message.text, message.parts) == ("", parts)


@pytest.mark.parametrize(
    "content_type",
    ["thoughts", "reasoning_recap", "user_editable_context", "model_editable_context"],
)
def test_what_chatgpt_keeps_to_itself_is_hidden(tmp_path: Path, content_type: str) -> None:
    content = {
        "content_type": content_type,
        "content": "recap",
        "thoughts": [{"content": "hm"}],
        "user_profile": "birds",
        "model_set_context": "birds",
    }
    (message,) = only(export(tmp_path, node("n", None, content=content))).messages
    assert message.status == "hidden"


def test_custom_instructions_of_2023(tmp_path: Path) -> None:
    metadata = {
        "is_user_system_message": True,
        "user_context_message_data": {
            "about_user_message": "birds",
            "about_model_message": "brief",
        },
    }
    file = export(tmp_path, node("n", None, "", role="system", metadata=metadata))
    (message,) = only(file).messages
    assert (message.text, message.status) == ("birds\nbrief", "hidden")
