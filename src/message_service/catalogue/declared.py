"""The catalogue: every collection, index, shard key and view of `message_service`.

The 23 indexes of the source design are here under their names; where one differs, `correction`
says why (the long form is in `docs/deviations.md`). Two rules shape them all: a query is scoped to
a tenant, so `tenant_id` is an equality in every key that is not hashed; and a unique key begins
with the shard key, so that the catalogue is legal on a sharded cluster.
"""

from __future__ import annotations

from typing import Any

from message_service.catalogue.model import Catalogue, Collection, Index, Keys, View
from message_service.documents import (
    Branch,
    Conversation,
    Job,
    Message,
    MessageAnalytics,
    MessageVersion,
    SearchEntry,
)

SCHEMA_VERSION = 1
"""Version of the catalogue as a whole; a release refuses a database of a higher one."""

_BY_CONVERSATION: Keys = (("conversation_id", "hashed"),)
_CREATED = "timestamps.created_at"
_BRANCH = "relationships.conversation_branch"

_UNIQUE = "unique keys must begin with the shard key, and are per tenant"
_TENANT = "scoped to the tenant"

MESSAGES = Collection(
    name="messages",
    document=Message,
    purpose="every message, with its metadata",
    shard_key=_BY_CONVERSATION,
    expressions=({"$eq": ["$partition_key", "$conversation_id"]},),
    indexes=(
        Index(
            "idx_message_id_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1)),
            "one message by id",
            unique=True,
            correction=_UNIQUE,
        ),
        Index(
            "idx_conversation_sequence",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "a whole conversation in order; gives out each number once",
            unique=True,
            correction="unique: two writers cannot take one number; scoped to the tenant",
        ),
        Index(
            "idx_user_chronological",
            (("tenant_id", 1), ("user_id", 1), (_CREATED, -1), ("_id", -1)),
            "a user's messages over all conversations",
            correction="ties broken by _id in the same direction; scoped to the tenant",
        ),
        Index(
            "idx_temporal_pagination",
            (("tenant_id", 1), (_CREATED, -1), ("_id", -1)),
            "a tenant's messages by time",
            correction="-1 with +1 served neither direction; scoped to the tenant",
        ),
        Index(
            "idx_conversation_filtering",
            (
                ("conversation_id", 1),
                ("tenant_id", 1),
                ("role", 1),
                ("message_type", 1),
                ("status", 1),
                ("sequence_number", 1),
            ),
            "a conversation's messages by role, type and status, in order",
            correction="the order is in the key, so that no sort is needed; scoped to the tenant",
        ),
        Index(
            "idx_token_analytics",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                (_CREATED, -1),
                ("llm_metadata.provider", 1),
                ("llm_metadata.model", 1),
            ),
            "tokens by user and period",
            partial={"token_usage.total_tokens": {"$exists": True}},
            correction="the date range comes before the grouped fields; scoped to the tenant",
        ),
        Index(
            "idx_full_text_search",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                ("content.text", "text"),
                ("custom_metadata.topics", "text"),
                ("custom_metadata.intent", "text"),
            ),
            "words in one user's messages",
            weights={
                "content.text": 10,
                "custom_metadata.topics": 5,
                "custom_metadata.intent": 3,
            },
            correction="user as equality prefix, no language stemming, a harmless override field",
        ),
        Index(
            "idx_message_ttl",
            (("delete_at", 1),),
            "removes archived messages whose archive is verified",
            expire_after_seconds=0,
            partial={"status": "archived", "retention_policy": "standard"},
            correction="on an explicit date: on created_at, archiving an old message deleted it",
        ),
        Index(
            "idx_shard_key",
            _BY_CONVERSATION,
            "the shard key",
        ),
        Index(
            "idx_deduplication",
            (
                ("content.content_hash", 1),
                ("conversation_id", 1),
                ("tenant_id", 1),
                ("user_id", 1),
            ),
            "messages of one conversation with the same text (a report, not a guard)",
            correction="sparse did nothing in a compound key; scoped to the tenant",
        ),
        Index(
            "idx_worker_performance",
            (("tenant_id", 1), ("processing_metadata.worker_id", 1), (_CREATED, -1)),
            "what a worker did",
            partial={"processing_metadata.worker_id": {"$exists": True}},
            correction="partial instead of sparse; scoped to the tenant",
        ),
        Index(
            "idx_safety_audit",
            (
                ("tenant_id", 1),
                ("safety_metadata.content_filtered", 1),
                ("safety_metadata.manual_review_required", 1),
                (_CREATED, -1),
            ),
            "filtered messages and those waiting for review",
            partial={"safety_metadata.content_filtered": {"$exists": True}},
            correction="partial: only judged messages; scoped to the tenant",
        ),
        Index(
            "idx_hot_conversation_data",
            (("conversation_id", 1), ("tenant_id", 1), (_CREATED, -1)),
            "a conversation's messages by time",
            correction="a block compressor does not pin an index in memory; scoped to the tenant",
        ),
        Index(
            "idx_client_message_id",
            (("conversation_id", 1), ("tenant_id", 1), ("client_metadata.client_msg_id", 1)),
            "the idempotency key",
            unique=True,
            partial={"client_metadata.client_msg_id": {"$type": "string"}},
            added=True,
        ),
        Index(
            "idx_branch_history",
            (
                ("conversation_id", 1),
                ("tenant_id", 1),
                (_BRANCH, 1),
                ("status", 1),
                ("sequence_number", 1),
                ("content.token_count", 1),
            ),
            "pages and prompt windows of one branch; covers the token counts",
            added=True,
        ),
        Index(
            "idx_pinned",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "pinned messages",
            partial={"pinned": True},
            added=True,
        ),
    ),
)

MESSAGE_VERSIONS = Collection(
    name="message_versions",
    document=MessageVersion,
    purpose="what messages said before they were edited",
    shard_key=_BY_CONVERSATION,
    indexes=(
        Index(
            "idx_version_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1), ("revision", 1)),
            "the versions of one message, in order",
            unique=True,
            added=True,
        ),
        Index("idx_version_shard_key", _BY_CONVERSATION, "the shard key", added=True),
    ),
)

CONVERSATIONS = Collection(
    name="conversations",
    document=Conversation,
    purpose="who talks with whom, and where a conversation stands",
    shard_key=_BY_CONVERSATION,
    indexes=(
        Index(
            "idx_conversation_id_unique",
            (("conversation_id", 1), ("tenant_id", 1)),
            "one conversation by id",
            unique=True,
            added=True,
        ),
        Index("idx_conversation_shard_key", _BY_CONVERSATION, "the shard key", added=True),
        Index(
            "idx_conversation_recent",
            (("tenant_id", 1), ("last_activity_at", -1), ("conversation_id", -1)),
            "a tenant's conversations, latest first",
            added=True,
        ),
        Index(
            "idx_conversation_owner",
            (("tenant_id", 1), ("user_id", 1), ("last_activity_at", -1), ("conversation_id", -1)),
            "a user's conversations, latest first",
            added=True,
        ),
        Index(
            "idx_conversation_character",
            (
                ("tenant_id", 1),
                ("character_id", 1),
                ("last_activity_at", -1),
                ("conversation_id", -1),
            ),
            "a character's conversations, latest first",
            partial={"character_id": {"$exists": True}},
            added=True,
        ),
    ),
)

BRANCHES = Collection(
    name="conversation_branches",
    document=Branch,
    purpose="where branches leave one another",
    shard_key=_BY_CONVERSATION,
    indexes=(
        Index(
            "idx_branch_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("branch", 1)),
            "the branches of one conversation",
            unique=True,
            added=True,
        ),
        Index("idx_branch_shard_key", _BY_CONVERSATION, "the shard key", added=True),
    ),
)

ANALYTICS = Collection(
    name="message_analytics",
    document=MessageAnalytics,
    purpose="summaries per day, week and month",
    shard_key=(("conversation_id", "hashed"), ("date", 1)),
    indexes=(
        Index(
            "idx_analytics_unique",
            (
                ("conversation_id", 1),
                ("date", 1),
                ("tenant_id", 1),
                ("aggregation_type", 1),
                ("user_id", 1),
            ),
            "one summary per subject and period, so that a repeated run replaces",
            unique=True,
            added=True,
        ),
        Index(
            "idx_analytics_shard_key",
            (("conversation_id", "hashed"), ("date", 1)),
            "the shard key",
            added=True,
        ),
        Index(
            "idx_conversation_analytics",
            (("conversation_id", 1), ("tenant_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a conversation's summaries",
            correction=_TENANT,
        ),
        Index(
            "idx_user_analytics",
            (("tenant_id", 1), ("user_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a user's summaries",
            correction=_TENANT,
        ),
        Index(
            "idx_global_analytics",
            (("tenant_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a tenant's summaries",
            correction=_TENANT,
        ),
        Index(
            "idx_analytics_ttl",
            (("delete_at", 1),),
            "removes summaries a policy has released",
            expire_after_seconds=0,
            correction="on an explicit date: six months after created_at lost monthly totals too",
        ),
    ),
)

SEARCH_INDEX = Collection(
    name="message_search_index",
    document=SearchEntry,
    purpose="messages in searchable form",
    shard_key=_BY_CONVERSATION,
    indexes=(
        Index(
            "idx_search_message_id",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1)),
            "the entry of one message",
            unique=True,
            correction=_UNIQUE,
        ),
        Index("idx_search_shard_key", _BY_CONVERSATION, "the shard key", added=True),
        Index(
            "idx_optimized_text_search",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                ("indexed_content.full_text", "text"),
                ("indexed_content.tokens", "text"),
                ("search_metadata.topics", "text"),
            ),
            "words in one user's messages",
            weights={
                "indexed_content.full_text": 10,
                "indexed_content.tokens": 7,
                "search_metadata.topics": 5,
            },
            correction="user as equality prefix, no language stemming, a harmless override field",
        ),
        Index(
            "idx_search_ranking",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                ("search_weights.importance_score", -1),
                ("search_weights.quality_score", -1),
                ("created_at", -1),
            ),
            "a user's weightiest messages",
            correction="recency is a date, not a score frozen when indexed; scoped to the tenant",
        ),
    ),
)

QUEUE = Collection(
    name="processing_queue",
    document=Job,
    purpose="asynchronous work",
    shard_key=None,
    indexes=(
        Index(
            "idx_job_id_unique",
            (("tenant_id", 1), ("job_id", 1)),
            "one job by id",
            unique=True,
            added=True,
        ),
        Index(
            "idx_queue_processing",
            (("status", 1), ("priority_rank", -1), ("queue_metadata.scheduled_for", 1)),
            "what to claim next",
            correction="by rank: as strings, 'high' sorts last",
        ),
        Index(
            "idx_queue_message",
            (("tenant_id", 1), ("conversation_id", 1), ("message_id", 1)),
            "the jobs of one message",
            correction=_TENANT,
        ),
        Index(
            "idx_queue_ttl",
            (("updated_at", 1),),
            "removes ended jobs after seven days",
            expire_after_seconds=604_800,
            partial={"status": {"$in": ["completed", "failed", "cancelled"]}},
        ),
    ),
)


def _if_user(value: Any) -> dict[str, Any]:
    """Count `value` on one of the two rows each (user, conversation) pair becomes."""
    return {"$cond": [{"$eq": ["$_id.seen.kind", "user"]}, value, 0]}


_LAST_30_DAYS = {
    "$expr": {
        "$gte": [
            f"${_CREATED}",
            {"$dateSubtract": {"startDate": "$$NOW", "unit": "day", "amount": 30}},
        ]
    }
}
_DAY = {"$dateToString": {"format": "%Y-%m-%d", "date": f"${_CREATED}"}}

DAILY_STATS_STAGES: tuple[dict[str, Any], ...] = (
    {"$match": {"message_type": {"$ne": "tombstone"}}},
    {
        "$group": {
            "_id": {
                "tenant_id": "$tenant_id",
                "day": _DAY,
                "user_id": "$user_id",
                "conversation_id": "$conversation_id",
            },
            "messages": {"$sum": 1},
            "tokens": {"$sum": "$token_usage.total_tokens"},
            "cost": {"$sum": "$token_usage.total_cost"},
        }
    },
    # Distinct users and conversations are counted as rows: collecting them in one array, as the
    # design does, passes 16 MB at some 900,000 users and takes the connection down.
    {
        "$project": {
            "messages": 1,
            "tokens": 1,
            "cost": 1,
            "seen": [
                {"kind": "user", "key": "$_id.user_id"},
                {"kind": "conversation", "key": "$_id.conversation_id"},
            ],
        }
    },
    {"$unwind": "$seen"},
    {
        "$group": {
            "_id": {"tenant_id": "$_id.tenant_id", "day": "$_id.day", "seen": "$seen"},
            "messages": {"$sum": "$messages"},
            "tokens": {"$sum": "$tokens"},
            "cost": {"$sum": "$cost"},
        }
    },
    {
        "$group": {
            "_id": {"tenant_id": "$_id.tenant_id", "day": "$_id.day"},
            "total_messages": {"$sum": _if_user("$messages")},
            "total_tokens": {"$sum": _if_user("$tokens")},
            "total_cost": {"$sum": _if_user("$cost")},
            "unique_users": {"$sum": _if_user(1)},
            "unique_conversations": {"$sum": {"$subtract": [1, _if_user(1)]}},
        }
    },
    {"$set": {"tenant_id": "$_id.tenant_id", "_id": "$_id.day"}},
    {"$sort": {"_id": -1, "tenant_id": 1}},
)
"""Messages, tokens, cost, users and conversations by tenant and UTC day."""

DAILY_MESSAGE_STATS = View(
    name="daily_message_stats",
    on="messages",
    purpose="messages, tokens, cost, users and conversations of each of the last 30 days",
    pipeline=({"$match": _LAST_30_DAYS}, *DAILY_STATS_STAGES),
)

MESSAGES_CURRENT = View(
    name="messages_current",
    on="messages",
    purpose="the live messages under the design's router name",
    pipeline=(),
)

CATALOGUE = Catalogue(
    version=SCHEMA_VERSION,
    collections=(
        MESSAGES,
        MESSAGE_VERSIONS,
        CONVERSATIONS,
        BRANCHES,
        ANALYTICS,
        SEARCH_INDEX,
        QUEUE,
    ),
    views=(DAILY_MESSAGE_STATS, MESSAGES_CURRENT),
)
"""What the database must look like."""
