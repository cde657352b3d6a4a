"""The follower of search: enrichment and search entries."""

from __future__ import annotations

from message_service.catalogue.follower import Follower

ENRICHMENT = Follower(
    name="enrichment",
    purpose="messages whose enrichment and search entry are due, most urgent first",
    group="enrichment",
    fields={
        "user_id": 1,
        "character_id": 1,
        "content.text": 1,
        "content.parts": 1,
        "content.sanitized_text": 1,
        "content.content_hash": 1,
        "content.detected_language": 1,
        "role": 1,
        "message_type": 1,
        "status": 1,
        "sequence_number": 1,
        "llm_metadata.provider": 1,
        "llm_metadata.model": 1,
        "timestamps.created_at": 1,
        "custom_metadata": 1,
        "safety_metadata": 1,
        "quality_metadata": 1,
        "relationships.conversation_branch": 1,
        "enrichment": 1,
        "pinned": 1,
        "delete_at": 1,
    },
)
