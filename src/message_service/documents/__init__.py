"""The stored documents: one module per collection, together with its embedded models."""

from message_service.documents.analytics import MessageAnalytics
from message_service.documents.analytics_settings import AnalyticsSettings
from message_service.documents.attachment_file import AttachmentChunk, AttachmentFile
from message_service.documents.character import Character
from message_service.documents.conversation import Branch, Conversation
from message_service.documents.conversation_summary import ConversationSummary
from message_service.documents.fields import StoredDocument
from message_service.documents.job import Job
from message_service.documents.job_schedule import JobSchedule
from message_service.documents.message import Message, MessageVersion
from message_service.documents.price import Price
from message_service.documents.reply_entry import ReplyEntry
from message_service.documents.search_entry import SearchEntry
from message_service.documents.usage_counter import UsageBudget, UsageCounter

ALL_DOCUMENTS: tuple[type[StoredDocument], ...] = (
    Message,
    MessageVersion,
    Conversation,
    Branch,
    ConversationSummary,
    Character,
    MessageAnalytics,
    AnalyticsSettings,
    SearchEntry,
    Job,
    JobSchedule,
    ReplyEntry,
    AttachmentFile,
    AttachmentChunk,
    Price,
    UsageCounter,
    UsageBudget,
)
"""Every document class; the catalogue derives one validator from each."""

__all__ = [
    "ALL_DOCUMENTS",
    "AnalyticsSettings",
    "AttachmentChunk",
    "AttachmentFile",
    "Branch",
    "Character",
    "Conversation",
    "ConversationSummary",
    "Job",
    "JobSchedule",
    "Message",
    "MessageAnalytics",
    "MessageVersion",
    "Price",
    "ReplyEntry",
    "SearchEntry",
    "StoredDocument",
    "UsageBudget",
    "UsageCounter",
]
