"""Whatever a file holds, a reader yields sound conversations or says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import errors
from message_service.interchange.known_formats import FORMATS
from message_service.interchange.reading.format import Format

WORDS = [
    *("mapping", "id", "conversation_id", "title", "create_time", "current_node", "parent"),
    *("children", "message", "author", "role", "content", "content_type", "parts", "text"),
    *("thoughts", "weight", "metadata", "model_slug", "prompt", "replies", "message_id", "rank"),
    *("emojis", "question_id", "turns", "choices", "model_id", "tstamp", "messages", "sender"),
    *("timestamp", "ratings", "user", "a", "b", "[10:00] <a> x", "\ud800", ""),
]
NAMES = st.sampled_from(WORDS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
# Shapes that get past the first check of each format, around anything at all.
CHATGPT = st.lists(
    st.fixed_dictionaries(
        {
            "mapping": st.dictionaries(
                NAMES,
                VALUES
                | st.fixed_dictionaries({"message": VALUES, "parent": NAMES, "children": VALUES}),
            )
        },
        optional={"current_node": VALUES, "id": VALUES},
    )
    | VALUES,
    max_size=3,
)
TREE = st.fixed_dictionaries(
    {"text": VALUES, "replies": st.lists(VALUES, max_size=3)}, optional={"message_id": VALUES}
)
QUESTION = st.fixed_dictionaries({"question_id": VALUES, "turns": st.lists(VALUES, max_size=3)})
CHITCHAT = st.dictionaries(NAMES, st.fixed_dictionaries({"messages": st.lists(st.lists(VALUES))}))


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=CHATGPT | TREE | QUESTION | CHITCHAT | VALUES)
def test_any_json(tmp_path: Path, known: Format, value: Any) -> None:
    file = tmp_path / "2012-03-24.raw.txt"
    file.write_text(json.dumps(value) + "\n")
    try:
        conversations = list(known.read([file]))
    except errors.InvalidImport:
        return
    for conversation in conversations:
        assert isinstance(conversation.external_id, str)
        own = [m.external_id for m in conversation.messages]
        assert len(set(own)) == len(own)
        for message in conversation.messages:
            assert isinstance(message.text, str)
            assert message.text or message.parts
            assert message.sender is None or isinstance(message.sender, str)
            assert message.llm_model is None or isinstance(message.llm_model, str)
            json.dumps(message.custom, allow_nan=False)
