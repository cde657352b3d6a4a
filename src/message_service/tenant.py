"""One tenant's view of the service."""

from __future__ import annotations

from message_service.analytics.analytics import Analytics
from message_service.generation.alternatives import Alternatives
from message_service.generation.characters import Characters
from message_service.generation.quality.quality import Quality
from message_service.generation.replies import Replies
from message_service.generation.shared import GenerationRuntime
from message_service.interchange.transfer import Transfer
from message_service.messages.branches import Branches
from message_service.messages.conversations import Conversations
from message_service.messages.history import HistoryReader
from message_service.messages.messages import Messages
from message_service.messages.runtime import Runtime
from message_service.queue.jobs import Jobs
from message_service.queue.runtime import QueueRuntime
from message_service.search.searcher import Search
from message_service.usage.tenant_prices import Prices
from message_service.usage.usage import Usage


class Tenant:
    """One tenant's view of the service: nothing of another tenant is reachable through it.

    Args:
        runtime: What the process shares.
        queue: What the process shares of the queue.
        generation: What the process shares for replies.
        tenant_id: The tenant's name, checked.

    Attributes:
        tenant_id: Its name.
        conversations: Its conversations.
        messages: Its messages.
        replies: Replies of models in its conversations.
        characters: The characters that models play in them.
        quality: Scores of replies.
        search: Search in its messages.
        attachments: The files its messages refer to.
        usage: What its messages used and cost.
        prices: What it pays for tokens.
        analytics: Its summaries by day, week and month.
        jobs: Its jobs.
        transfer: Import and export.
    """

    def __init__(
        self,
        runtime: Runtime,
        queue: QueueRuntime,
        generation: GenerationRuntime,
        tenant_id: str,
    ) -> None:
        scope = runtime.scope(tenant_id)
        self.tenant_id = tenant_id
        self.conversations = Conversations(runtime, scope)
        self.messages = Messages(runtime, scope)
        self.search = Search(runtime, scope)
        self.attachments = runtime.attachments(scope)
        self.usage = Usage(runtime.store, scope, runtime.price_book, runtime.clock)
        self.prices = Prices(scope, runtime.price_book, runtime.clock)
        self.analytics = Analytics(runtime.store, scope, runtime.clock)
        self.jobs = Jobs(queue, scope)
        others = Alternatives(
            self.conversations, Branches(runtime, scope), HistoryReader(runtime, scope)
        )
        self.replies = Replies(generation, scope, self.jobs, others)
        self.quality = Quality(generation, scope, self.jobs)
        self.characters = Characters(scope, runtime.clock, runtime.signer)
        self.transfer = Transfer(runtime, scope)
