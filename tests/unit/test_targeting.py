"""The rule the targeting listener applies."""

from typing import Any

import pytest

from message_service.schema.targeting import untargeted

KEY = {"conversation_id": "conv_000000000001"}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("find", {"find": "messages", "filter": {**KEY, "status": "active"}}),
        ("find", {"find": "messages", "filter": {"conversation_id": {"$in": ["a"]}}}),
        ("find", {"find": "processing_queue", "filter": {}}),
        ("find", {"find": "messages", "filter": {}, "comment": "messages.by_user"}),
        ("find", {"find": "messages", "filter": {}, "comment": "catalogue.conformance"}),
        ("insert", {"insert": "messages", "documents": [KEY, KEY]}),
        ("update", {"update": "messages", "updates": [{"q": KEY, "u": {}}]}),
        ("findAndModify", {"findAndModify": "messages", "query": KEY}),
        ("aggregate", {"aggregate": "messages", "pipeline": [{"$match": KEY}]}),
        ("createIndexes", {"createIndexes": "messages"}),
        ("endSessions", {"endSessions": [{"id": 1}]}),
        ("find", {"find": "messages", "filter": {"$or": [KEY, KEY], "role": "user"}}),
    ],
)
def test_targeted(name: str, command: dict[str, Any]) -> None:
    assert untargeted(name, command) is None


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("find", {"find": "messages", "filter": {"message_id": "m"}}),
        ("find", {"find": "messages", "filter": {"conversation_id": {"$gt": ""}}}),
        ("find", {"find": "messages", "filter": {"$or": [KEY, {"message_id": "m"}]}}),
        ("find", {"find": "messages", "filter": {"$or": []}}),
        ("find", {"find": "messages", "filter": {}, "comment": "messages.by_id"}),
        ("insert", {"insert": "messages", "documents": [KEY, {"a": 1}]}),
        ("update", {"update": "messages", "updates": [{"q": KEY}, {"q": {"_id": 1}}]}),
        ("delete", {"delete": "conversations", "deletes": [{"q": {}}]}),
        ("aggregate", {"aggregate": "messages", "pipeline": []}),
        ("aggregate", {"aggregate": "messages", "pipeline": [{"$group": {}}]}),
        ("count", {"count": "message_analytics", "query": {}}),
    ],
)
def test_untargeted(name: str, command: dict[str, Any]) -> None:
    assert untargeted(name, command) is not None
