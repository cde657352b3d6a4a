"""Whatever custom facts a reader makes, what is handed on can be stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
from hypothesis import given
from hypothesis import strategies as st

from message_service.database.free_form import MAX_METADATA_BYTES, check_free_form
from message_service.interchange.reading.fitting import MAX_CUSTOM_BYTES, fitted
from message_service.interchange.reading.records import ImportedConversation

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats()
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=20)
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.integers(1, 1_000))
NAMES = TEXTS.map(lambda name: "n" + name.replace(".", ""))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | MOMENTS | TEXTS | LONG_TEXTS,
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(NAMES, inner, max_size=10),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_custom_facts_become_storable(facts: dict[str, Any]) -> None:
    conversation = fitted(ImportedConversation(external_id="c", custom=facts))
    left_out = conversation.custom.get("left_out", [])
    assert len(conversation.custom) == len(facts) - len(left_out) + bool(left_out)
    check_free_form("custom", conversation.custom)
    # A bound is needed only for what was kept; the names of the rest are few and short.
    kept = {name: value for name, value in conversation.custom.items() if name != "left_out"}
    assert len(bson.encode(kept)) <= MAX_CUSTOM_BYTES + 5 < MAX_METADATA_BYTES
