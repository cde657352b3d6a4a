"""Message Service: the message store for LLM and character-chat applications on MongoDB."""

from message_service.analytics.analytics import Analytics
from message_service.analytics.checking import Checked, MetricDrift
from message_service.analytics.results import Comparison, Ranked, Series, Summary, Top
from message_service.analytics.rollups import Rollups
from message_service.attachments.attachments import Attachments, StoredFile
from message_service.background.worker import BackgroundWorker
from message_service.backup.backups import Backups
from message_service.backup.full import BackupProgress
from message_service.backup.making import BackedUp
from message_service.backup.manifest import FullManifest
from message_service.backup.pruning import KeepPolicy, Pruned
from message_service.backup.putting_back import PutBack
from message_service.backup.recovery import BackupContents, RecoverableStretch, RestorePlan
from message_service.backup.restoring import Restored
from message_service.backup.schedule import BackupSchedule
from message_service.backup.verifying import VerifiedBackups
from message_service.clock import Clock
from message_service.database.point import OplogPoint
from message_service.database.transaction import Transaction
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.character import Character
from message_service.documents.conversation import Conversation, ConversationState, PromptSettings
from message_service.documents.conversation_summary import ConversationSummary
from message_service.documents.job import Job, JobStatus, JobType, OnFailedDependency, Priority
from message_service.documents.job_schedule import CatchUp, JobSchedule
from message_service.documents.message import Message, MessageStatus, MessageVersion, Role
from message_service.documents.parts import (
    Attachment,
    AttachmentKind,
    Citation,
    OtherPart,
    Part,
    Reasoning,
    Refusal,
    TextPart,
    ToolCall,
    ToolResult,
    ToolStatus,
)
from message_service.documents.summary_metrics import (
    Distributions,
    MessageMetrics,
    PerformanceMetrics,
    QualityMetrics,
    TokenMetrics,
)
from message_service.documents.token_usage import (
    CostState,
    GivenUsage,
    TokenClass,
    TokenUsage,
    UsageState,
)
from message_service.documents.usage_counter import Period
from message_service.errors import MessageServiceError
from message_service.generation.alternatives import Alternative
from message_service.generation.characters import Characters
from message_service.generation.following import ReplyEvent
from message_service.generation.prompt.building import Prompt, PromptSection
from message_service.generation.provider import Turn
from message_service.generation.provider_status import Providers, ProviderStatus
from message_service.generation.quality.judging import JudgeOptions
from message_service.generation.quality.quality import Quality, StoredScore
from message_service.generation.replies import Replies
from message_service.generation.reply_request import OnInterruption, ReplyOptions
from message_service.generation.reply_status import Reply, ReplyStatus
from message_service.interchange.reading.records import ImportedConversation
from message_service.interchange.report import ImportReport
from message_service.loops.control import LoopStatus
from message_service.messages.branches import BranchInfo
from message_service.messages.continuations import joined
from message_service.messages.new_message import NewMessage
from message_service.messages.numbering import Completeness
from message_service.messages.outcomes import Appended
from message_service.messages.rows import StoredMessage
from message_service.messages.window_view import ContextWindow, Omission
from message_service.paging.page import Page
from message_service.queue.clearing import Purged, Replayed
from message_service.queue.enqueuing import Enqueued, EnqueueOutcome
from message_service.queue.events import JobEvent
from message_service.queue.explaining import Because, JobExplanation, Why
from message_service.queue.jobs import Jobs
from message_service.queue.listing import JobCount
from message_service.queue.new_job import NewJob, OnDuplicate
from message_service.queue.registry import JobKind, JobRegistry, jobs
from message_service.queue.running_job import GiveUp, RetryIn, RunningJob, Snooze, Withdraw
from message_service.queue.schedules import Schedules
from message_service.queue.worker import WorkerFigures
from message_service.queue.workers import QueueControl, WorkerStatus
from message_service.search.index import IndexStatus
from message_service.search.indexer import IndexingProgress
from message_service.search.reconciler import IndexCheck
from message_service.search.results import Freshness, Hit, SearchPage
from message_service.service import MessageService, Tenant
from message_service.settings import Settings
from message_service.stopping import StopSignal
from message_service.usage.budgets import Budget, BudgetCheck, Budgets, BudgetStatus, Verdict
from message_service.usage.costing import Line
from message_service.usage.explaining import Explanation
from message_service.usage.missing_prices import MissingPrice
from message_service.usage.price_book import Loaded
from message_service.usage.prices import ModelPrices, PriceRow
from message_service.usage.reconciling.comparing import (
    Agreement,
    ComparedUsage,
    Reconciliation,
    Suspect,
)
from message_service.usage.recost import ModelChange, Recosted
from message_service.usage.reporting.rows import Spent, UsageRow
from message_service.usage.tenant_prices import Prices
from message_service.usage.usage import Usage
from message_service.usage.usage_counters import UsageCounters

__all__ = [
    "AggregationType",
    "Agreement",
    "Alternative",
    "Analytics",
    "Appended",
    "Attachment",
    "AttachmentKind",
    "Attachments",
    "BackedUp",
    "BackgroundWorker",
    "BackupContents",
    "BackupProgress",
    "BackupSchedule",
    "Backups",
    "Because",
    "BranchInfo",
    "Budget",
    "BudgetCheck",
    "BudgetStatus",
    "Budgets",
    "CatchUp",
    "Character",
    "Characters",
    "Checked",
    "Citation",
    "Clock",
    "ComparedUsage",
    "Comparison",
    "Completeness",
    "ContextWindow",
    "Conversation",
    "ConversationState",
    "ConversationSummary",
    "CostState",
    "Dimension",
    "Distributions",
    "EnqueueOutcome",
    "Enqueued",
    "Explanation",
    "Freshness",
    "FullManifest",
    "GiveUp",
    "GivenUsage",
    "Hit",
    "ImportReport",
    "ImportedConversation",
    "IndexCheck",
    "IndexStatus",
    "IndexingProgress",
    "Job",
    "JobCount",
    "JobEvent",
    "JobExplanation",
    "JobKind",
    "JobRegistry",
    "JobSchedule",
    "JobStatus",
    "JobType",
    "Jobs",
    "JudgeOptions",
    "KeepPolicy",
    "Line",
    "Loaded",
    "LoopStatus",
    "Message",
    "MessageMetrics",
    "MessageService",
    "MessageServiceError",
    "MessageStatus",
    "MessageVersion",
    "MetricDrift",
    "MissingPrice",
    "ModelChange",
    "ModelPrices",
    "NewJob",
    "NewMessage",
    "Omission",
    "OnDuplicate",
    "OnFailedDependency",
    "OnInterruption",
    "OplogPoint",
    "OtherPart",
    "Page",
    "Part",
    "PerformanceMetrics",
    "Period",
    "PriceRow",
    "Prices",
    "Priority",
    "Prompt",
    "PromptSection",
    "PromptSettings",
    "ProviderStatus",
    "Providers",
    "Pruned",
    "Purged",
    "PutBack",
    "Quality",
    "QualityMetrics",
    "QueueControl",
    "Ranked",
    "Reasoning",
    "Reconciliation",
    "Recosted",
    "RecoverableStretch",
    "Refusal",
    "Replayed",
    "Replies",
    "Reply",
    "ReplyEvent",
    "ReplyOptions",
    "ReplyStatus",
    "RestorePlan",
    "Restored",
    "RetryIn",
    "Role",
    "Rollups",
    "RunningJob",
    "Schedules",
    "SearchPage",
    "Series",
    "Settings",
    "Snooze",
    "Spent",
    "StopSignal",
    "StoredFile",
    "StoredMessage",
    "StoredScore",
    "Summary",
    "Suspect",
    "Tenant",
    "TextPart",
    "TokenClass",
    "TokenMetrics",
    "TokenUsage",
    "ToolCall",
    "ToolResult",
    "ToolStatus",
    "Top",
    "Transaction",
    "Turn",
    "Usage",
    "UsageCounters",
    "UsageRow",
    "UsageState",
    "Verdict",
    "VerifiedBackups",
    "Why",
    "Withdraw",
    "WorkerFigures",
    "WorkerStatus",
    "jobs",
    "joined",
]
