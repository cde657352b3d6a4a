"""Whatever the model accepts, the server's validator must accept: else a write fails late."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from message_service.catalogue.collections.messages import MESSAGES
from message_service.database.client import open_database
from message_service.documents import Message
from message_service.documents.row import Row
from message_service.schema.validators import validator

TEXT = st.text(max_size=40)  # any code point UTF-8 can express, newlines and NUL included
NAMES = st.text(max_size=256)
COUNTS = st.one_of(st.integers(0, 2**31), st.integers(0, 2**63 - 1))
SCORES = st.one_of(st.sampled_from([0, 1]), st.floats(0, 1))
MONEY = st.one_of(st.integers(0, 10**9), st.decimals(0, 10**9, places=9))
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


def ids(kind: str) -> st.SearchStrategy[str]:
    return st.from_regex(rf"{kind}_[a-zA-Z0-9]{{12,128}}", fullmatch=True)


def group(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


PARTS = st.lists(
    st.one_of(
        st.builds(
            lambda **fields: {"type": "tool_call", **fields},
            id=NAMES.filter(bool),
            name=NAMES.filter(bool),
            arguments=TEXT,
        ),
        group(text=TEXT, signature=TEXT).map(lambda given: {"type": "reasoning", **given}),
        group(
            kind=st.sampled_from(["image", "file"]),
            name=TEXT,
            mime_type=NAMES,
            size=COUNTS,
            pointer=TEXT,
            token_count=COUNTS,
        ).map(lambda given: {"type": "attachment", **given}),
        group(title=TEXT, url=TEXT, start=COUNTS).map(lambda given: {"type": "citation", **given}),
        st.just({"type": "other", "name": "new", "data": {"a": [1]}}),
    ),
    max_size=4,
).map(lambda parts: [{"type": "text"}, *parts])


DOCUMENTS = st.fixed_dictionaries(
    {
        "tenant_id": st.from_regex("[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
        "message_id": ids("msg"),
        "conversation_id": ids("conv"),
        "user_id": ids("user"),
        "content": st.fixed_dictionaries(
            {"text": TEXT.filter(bool)}, optional={"word_count": COUNTS, "parts": PARTS}
        ),
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "sequence_number": st.integers(1, 2**63 - 1),
        "timestamps": st.fixed_dictionaries(
            {"created_at": MOMENTS}, optional={"completed_at": st.none() | MOMENTS}
        ),
    },
    optional={
        "character_id": st.none() | ids("char"),
        "token_usage": group(
            total_tokens=COUNTS, total_cost=MONEY, cost_currency=st.just("USD"), billing_tier=NAMES
        ),
        "llm_metadata": group(
            temperature=st.one_of(st.integers(0, 2), st.floats(0)),
            frequency_penalty=st.floats(),
            stop_sequences=st.lists(NAMES, max_size=5),
        ),
        "safety_metadata": group(safety_score=SCORES, content_filtered=st.booleans()),
        "custom_metadata": st.dictionaries(
            st.sampled_from(["language", "mine", "x"]),
            st.recursive(
                st.none() | st.booleans() | st.floats() | TEXT,
                lambda inner: st.lists(inner, max_size=3),
                max_leaves=5,
            ),
        ),
        "relationships": group(
            conversation_branch=st.from_regex("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", fullmatch=True),
            related_message_ids=st.lists(ids("msg"), max_size=3),
        ),
        "client_metadata": group(client_msg_id=NAMES, request_headers=st.just({"a": None})),
        "pinned": st.none() | st.booleans(),
        "delete_at": MOMENTS,
    },
)


@pytest.fixture(scope="module")
async def guarded(client: AsyncMongoClient[Row]) -> AsyncIterator[AsyncCollection[Row]]:
    """A collection with the validator of `messages` and nothing else."""
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    yield await database.create_collection("messages", validator=validator(MESSAGES))
    await client.drop_database(database.name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=DOCUMENTS)
async def test_the_server_accepts_what_the_model_accepts(
    guarded: AsyncCollection[Row], values: dict[str, Any]
) -> None:
    document = Message.model_validate({**values, "partition_key": values["conversation_id"]})
    written = document.to_bson()
    await guarded.insert_one(written)
    stored = await guarded.find_one_and_delete({"_id": written["_id"]})
    assert stored is not None
    assert Message.model_validate(stored).to_bson().keys() == stored.keys()
