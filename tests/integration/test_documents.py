"""Every path of the source design's four sample documents: modelled, validated, written, read.

The samples are those of the design with their ids brought to its own grammar (twelve characters
after the prefix, where it shows nine) and real digests.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from beanie import init_beanie

from message_service import Message, MessageService
from message_service.documents import ALL_DOCUMENTS, Job, MessageAnalytics, SearchEntry
from message_service.documents.fields import StoredDocument

CONVERSATION = "conv_789xyz123456"
USER = "user_456def789012"
MESSAGE = "msg_abc123def456"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


GIVEN: dict[str, Any] = {
    "message_id": MESSAGE,
    "user_id": USER,
    "character_id": "char_123abc456def",
    "role": "user",
    "message_type": "standard",
    "status": "active",
    "llm_metadata": {
        "provider": "lmstudio",
        "model": "google/gemma-3-12b",
        "model_version": "1.2.3",
        "temperature": 0.7,
        "max_tokens": 2048,
        "top_p": 0.9,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "stop_sequences": ["\n\nHuman:", "\n\nAssistant:"],
        "request_id": "req_xyz789abc123",
        "finish_reason": "stop",
    },
    "token_usage": {
        "prompt_tokens": 245,
        "completion_tokens": 67,
        "total_tokens": 312,
        "prompt_cost": Decimal("0.001835"),
        "completion_cost": Decimal("0.000503"),
        "total_cost": Decimal("0.002338"),
        "cost_currency": "USD",
        "billing_tier": "standard",
    },
    "context_metadata": {
        "context_window_size": 20,
        "messages_in_context": 15,
        "context_tokens": 2890,
        "context_hash": "sha256:def456ghi789...",
        "context_compression_ratio": 0.87,
        "effective_context_length": 3456,
    },
    "processing_metadata": {
        "processing_time_ms": 1234,
        "queue_time_ms": 45,
        "llm_processing_time_ms": 1100,
        "post_processing_time_ms": 89,
        "total_latency_ms": 1279,
        "retry_count": 0,
        "error_count": 0,
        "worker_id": "worker_003",
        "processing_node": "message-worker-3",
    },
    "safety_metadata": {
        "content_filtered": False,
        "safety_score": 0.95,
        "detected_issues": [],
        "moderation_flags": [],
        "filter_version": "v2.1",
        "manual_review_required": False,
        "approved_by_moderator": None,
    },
    "client_metadata": {
        "client_msg_id": "client_msg_123",
        "client_version": "1.2.3",
        "user_agent": "CharacterChat/1.0 (Web)",
        "ip_address": "192.168.1.100",
        "platform": "web",
        "session_id": "session_456def789",
        "request_headers": {"x-forwarded-for": "203.0.113.1", "user-agent": "Mozilla/5.0..."},
    },
    "custom_metadata": {
        "intent": "greeting",
        "sentiment": "positive",
        "confidence": 0.87,
        "topics": ["greeting", "wellbeing", "casual"],
        "urgency": "low",
        "complexity_score": 0.23,
        "user_satisfaction": None,
        "follow_up_required": False,
        "tagged_by_user": [],
        "bookmarked": False,
        "shared": False,
    },
    "quality_metadata": {
        "coherence_score": 0.92,
        "relevance_score": 0.88,
        "helpfulness_score": 0.90,
        "factual_accuracy": None,
        "language_quality": 0.95,
        "creativity_score": 0.67,
        "user_feedback": None,
    },
    "data_classification": "standard",
    "retention_policy": "standard",
}

STATIONS = {
    "received_at": moment("2025-01-15T10:30:00.098"),
    "queued_at": moment("2025-01-15T10:30:00.145"),
    "processing_started_at": moment("2025-01-15T10:30:00.190"),
    "processed_at": moment("2025-01-15T10:30:01.456"),
    "llm_response_at": moment("2025-01-15T10:30:02.556"),
    "completed_at": moment("2025-01-15T10:30:02.789"),
}

# Derived by the service: the sample's values where it states them, None where it only sketches.
DERIVED: dict[str, Any] = {
    "conversation_id": CONVERSATION,
    "content.text": "Hello Luna! How are you today?",
    "content.sanitized_text": "Hello Luna! How are you today?",
    "content.detected_language": "en",
    "content.content_hash": None,
    "content.word_count": 6,
    "content.character_count": 30,
    "content.estimated_reading_time_seconds": 2,
    "sequence_number": 1,
    "timestamps.created_at": moment("2025-01-15T10:30:00.123"),
    "timestamps.last_modified_at": None,
    "relationships.conversation_branch": "main",
    "version": 1,
    "partition_key": CONVERSATION,
    "archived_to_cold_storage": False,
    "checksum": None,
}


def paths(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict) and name != "request_headers":
            yield from paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else getattr(document, part)
    return document


async def test_the_message_sample_through_the_public_call(service: MessageService) -> None:
    await service.conversations.create(USER, conversation_id=CONVERSATION)
    parent = await service.messages.append(
        CONVERSATION, "assistant", "before", message_id="msg_000000000000"
    )
    await service.messages.append(
        CONVERSATION,
        text="Hello Luna! How are you today?",
        **GIVEN,
        created_at=DERIVED["timestamps.created_at"],
        stations=STATIONS,
        detected_language="en",
        parent_message_id=parent.message_id,
        reply_to_message_id=parent.message_id,
        related_message_ids=[parent.message_id],
        thread_id="thread_1",
    )
    stored = await service.messages.get(CONVERSATION, MESSAGE)
    document = stored.document()
    for path, expected in paths(GIVEN):
        assert at(document, path) == expected, path
        # What nobody supplied is absent from the database, not null.
        if expected is None:
            parts = path.split(".")
            assert parts[-1] not in stored.raw[parts[0]], path
    for name, expected in STATIONS.items():
        assert at(document, f"timestamps.{name}") == expected
    for path, expected in DERIVED.items():
        found = at(document, path)
        assert found is not None, path
        if expected is not None and path != "sequence_number":
            assert found == expected, path
    assert document.relationships.parent_message_id == parent.message_id
    assert document.relationships.reply_to_message_id == parent.message_id
    assert document.relationships.related_message_ids == [parent.message_id]
    assert document.relationships.thread_id == "thread_1"


ANALYTICS = {
    "tenant_id": "default",
    "analytics_id": "analytics_conv_789xyz123_20250115",
    "subject": f"conversation:{CONVERSATION}",
    "conversation_id": CONVERSATION,
    "user_id": USER,
    "aggregation_type": "daily_summary",
    "date": moment("2025-01-15T00:00:00"),
    "message_metrics": {
        "total_messages": 45,
        "user_messages": 23,
        "assistant_messages": 22,
        "system_messages": 0,
        "avg_message_length": 125.6,
        "total_words": 2834,
        "total_characters": 14567,
    },
    "token_metrics": {
        "total_tokens": 5678,
        "input_tokens": 2890,
        "output_tokens": 2788,
        "total_cost": Decimal("0.04256"),
        "avg_tokens_per_message": 126.2,
        "max_tokens_single_message": 456,
        "token_efficiency": 0.87,
    },
    "performance_metrics": {
        "avg_response_time_ms": 1234,
        "min_response_time_ms": 456,
        "max_response_time_ms": 3456,
        "median_response_time_ms": 1100,
        "p95_response_time_ms": 2890,
        "total_processing_time_ms": 56789,
        "cache_hit_rate": 0.78,
    },
    "quality_metrics": {
        "avg_coherence_score": 0.89,
        "avg_relevance_score": 0.92,
        "avg_safety_score": 0.97,
        "content_filter_rate": 0.02,
        "user_satisfaction_rate": 0.88,
        "error_rate": 0.01,
    },
    "distributions": {
        "message_length_distribution": {"0-50": 12, "51-100": 18, "101-200": 10, "201+": 5},
        "response_time_distribution": {
            "0-500ms": 8,
            "501-1000ms": 15,
            "1001-2000ms": 18,
            "2001ms+": 4,
        },
        "topic_distribution": {
            "technology": 0.35,
            "general": 0.25,
            "creative": 0.20,
            "technical": 0.20,
        },
    },
    "created_at": moment("2025-01-16T01:00:00"),
    "updated_at": moment("2025-01-16T01:00:00"),
    "version": 1,
}

SEARCH = {
    "tenant_id": "default",
    "message_id": MESSAGE,
    "conversation_id": CONVERSATION,
    "user_id": USER,
    "indexed_content": {
        "full_text": "Hello Luna! How are you today?",
        "normalized_text": "hello luna how are you today",
        "stemmed_text": "hello luna how ar you today",
        "tokens": ["hello", "luna", "how", "are", "you", "today"],
        "bigrams": ["hello luna", "luna how", "how are", "are you", "you today"],
        "trigrams": ["hello luna how", "luna how are", "how are you", "are you today"],
        "entities": [],
        "keywords": ["luna", "greeting", "wellbeing"],
    },
    "search_metadata": {
        "language": "en",
        "sentiment": "positive",
        "topics": ["greeting", "wellbeing"],
        "intent": "greeting",
        "role": "user",
        "message_type": "standard",
    },
    "search_weights": {
        "importance_score": 0.85,
        "recency_score": 0.92,
        "engagement_score": 0.78,
        "quality_score": 0.90,
    },
    "created_at": moment("2025-01-15T10:30:00.123"),
    "last_indexed_at": moment("2025-01-15T10:30:05"),
    "index_version": "v2.1",
}

JOB = {
    "tenant_id": "default",
    "job_id": "job_abc123def456",
    "message_id": MESSAGE,
    "conversation_id": CONVERSATION,
    "user_id": USER,
    "job_type": "message_processing",
    "priority": "normal",
    "status": "pending",
    "job_config": {
        "llm_provider": "lmstudio",
        "model": "google/gemma-3-12b",
        "temperature": 0.7,
        "max_tokens": 2048,
        "context_window_size": 20,
        "timeout_seconds": 60,
    },
    "execution": {
        "attempts": 1,
        "max_attempts": 3,
        "worker_id": None,
        "started_at": None,
        "completed_at": None,
        "processing_time_ms": None,
        "error_message": None,
        "result": None,
    },
    "queue_metadata": {
        "queue_name": "message_processing",
        "scheduled_for": moment("2025-01-15T10:30:00.123"),
        "expires_at": moment("2025-01-15T11:30:00.123"),
        "retry_after": None,
        "depends_on": [],
    },
    "created_at": moment("2025-01-15T10:30:00.123"),
    "updated_at": moment("2025-01-15T10:30:00.123"),
}


@pytest.mark.parametrize(
    ("model", "sample"),
    [(MessageAnalytics, ANALYTICS), (SearchEntry, SEARCH), (Job, JOB)],
    ids=["message_analytics", "message_search_index", "processing_queue"],
)
async def test_the_other_samples(
    service: MessageService, model: type[StoredDocument], sample: dict[str, Any]
) -> None:
    """Written past the server's validator and read back equal; also by Beanie's own hands."""
    document = model.model_validate(sample)
    collection = service.store.collection(model.Settings.name)  # type: ignore[attr-defined]
    await collection.insert_one(document.to_bson())
    raw = await collection.find_one({"conversation_id": CONVERSATION})
    assert raw is not None
    read = model.model_validate(raw)
    for path, expected in paths(sample):
        assert at(read, path) == expected, path
    await init_beanie(service.store.database, document_models=[model], skip_indexes=True)
    found = await model.find_one({"conversation_id": CONVERSATION})
    assert found is not None
    assert found.to_bson() == raw


def test_every_document_is_listed_once() -> None:
    names = [model.Settings.name for model in ALL_DOCUMENTS]  # type: ignore[attr-defined]
    assert len(names) == len(set(names)) == 17
    assert Message in ALL_DOCUMENTS
