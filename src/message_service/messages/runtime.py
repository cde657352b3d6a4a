"""The parts that all capabilities of a process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from message_service.attachments.attachments import Attachments
from message_service.attachments.external import ExternalStore
from message_service.clock import Clock
from message_service.database.client import Database
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.ids import IdFactory
from message_service.messages.appender import Appender
from message_service.messages.conversation_summary import ConversationSummaries
from message_service.messages.known_conversations import KnownConversations
from message_service.paging.cursors import CursorSigner
from message_service.settings import Settings
from message_service.usage.price_book import PriceBook


@dataclass(frozen=True, slots=True)
class Runtime:
    """The shared parts; each capability makes its view of a tenant from them.

    Attributes:
        settings: The settings in force.
        store: The database.
        clock: The present moment.
        ids: Makes ids.
        signer: Signs cursors.
        known: The remembered conversations.
        summaries: Updates conversations after appends.
        appender: Writes messages.
        price_book: What tokens cost.
        external_files: The store of attachments outside of MongoDB; None keeps them inside.
        random: Source of random bytes.
    """

    settings: Settings
    store: Store
    clock: Clock
    ids: IdFactory
    signer: CursorSigner
    known: KnownConversations
    summaries: ConversationSummaries
    appender: Appender
    price_book: PriceBook
    external_files: ExternalStore | None
    random: Callable[[int], bytes]

    @classmethod
    def make(
        cls,
        settings: Settings,
        database: Database,
        clock: Clock,
        ids: IdFactory,
        cursor_secret: bytes,
        random: Callable[[int], bytes],
    ) -> Runtime:
        """Put the parts together."""
        store = Store(database)
        known = KnownConversations(store, settings.cache_conversations)
        summaries = ConversationSummaries(store, clock)
        appender = Appender(
            store,
            known,
            summaries.note,
            lanes=settings.append_lanes,
            batch=settings.append_batch,
            deadline=settings.write_deadline,
        )
        return cls(
            settings,
            store,
            clock,
            ids,
            CursorSigner(cursor_secret),
            known,
            summaries,
            appender,
            PriceBook(store, clock),
            None
            if settings.attachment_store is None
            else ExternalStore(settings.attachment_store.get_secret_value()),
            random,
        )

    def attachments(self, scope: Scope) -> Attachments:
        """Return the attachments of a scope's tenant."""
        return Attachments(
            scope, self.clock, self.external_files, self.settings.attachment_max_bytes
        )

    def scope(self, tenant_id: str) -> Scope:
        """Return one tenant's scope; the name must have been checked."""
        return self.store.scope(tenant_id)
