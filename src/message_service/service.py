"""Puts the parts together: takes settings, returns a connected service."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from message_service import connection, errors
from message_service.analytics.analytics import Analytics
from message_service.analytics.rollup import Rollup
from message_service.analytics.rollups import Rollups
from message_service.analytics.sampling import SampledCheck
from message_service.arguments import check_flag, check_instance
from message_service.attachments.attachments import Attachments
from message_service.background.job_types import own_job_types
from message_service.background.worker import BackgroundWorker, make_worker
from message_service.backup.backups import Backups
from message_service.backup.scheduled import ScheduledBackups
from message_service.clock import Clock, SystemClock
from message_service.connection import Connection
from message_service.database.client import CommandListener
from message_service.database.store import Store
from message_service.database.transaction import Work
from message_service.documents.validation import checked
from message_service.generation.characters import Characters
from message_service.generation.provider_status import Providers
from message_service.generation.quality.evaluating import Evaluating
from message_service.generation.quality.judging import Judging
from message_service.generation.quality.quality import Quality
from message_service.generation.replies import Replies
from message_service.generation.replying import Replying
from message_service.generation.shared import generation_runtime
from message_service.generation.summarising import Summarising
from message_service.ids import DEFAULT_TENANT, IdFactory, IdKind, check_tenant, checked_random
from message_service.loops.control import LoopControl
from message_service.messages.conversations import Conversations
from message_service.messages.messages import Messages
from message_service.messages.runtime import Runtime
from message_service.queue.jobs import Jobs
from message_service.queue.registry import JobRegistry, jobs
from message_service.queue.runtime import QueueRuntime
from message_service.queue.scheduling import Scheduling
from message_service.queue.settling import Settler
from message_service.queue.sweep import QueueSweep
from message_service.queue.workers import QueueControl
from message_service.schema import apply, schema_state
from message_service.search.index import SearchIndex
from message_service.search.indexer import Indexer
from message_service.search.searcher import Search
from message_service.settings import Settings
from message_service.stopping import StopSignal, end_tasks, within
from message_service.tenant import Tenant
from message_service.usage.counting import UsageCounting
from message_service.usage.tenant_prices import Prices
from message_service.usage.usage import Usage
from message_service.usage.usage_counters import UsageCounters

_LOOPS = (Indexer, UsageCounting, Rollup, SampledCheck, QueueSweep, Scheduling, ScheduledBackups)
LOOPS: tuple[str, ...] = tuple(loop.name for loop in _LOOPS)
"""Every loop that one process of all runs at a time."""

T = TypeVar("T")


class MessageService:
    """The message store, connected.

    Use `await MessageService.connect(...)`, and `async with` or `close()`. The tenant `default` is
    available as `service.conversations`, `service.messages` and `service.search`, other tenants
    through `service.tenant("acme")`. A service belongs to the event loop it was connected in.

    Attributes:
        settings: The settings in force.
        server: What the server is.
        search_index: The search index of all tenants, for operators.
        usage_counters: The counters of budgets of all tenants, for operators.
        rollups: The summaries of all tenants, for operators.
        queue: The workers of the job queue, for operators.
        providers: The providers of models, for operators.
        backups: The backups of the whole database, for operators.
        loops: The loops that run in the background, in this or other processes, for operators.
    """

    def __init__(
        self, connected: Connection, runtime: Runtime, registry: JobRegistry = jobs
    ) -> None:
        self.settings = runtime.settings
        self.server = connected.server
        self._connection = connected
        self._runtime = runtime
        self._tenants: dict[str, Tenant] = {}
        self._holder = holder = (
            f"{socket.gethostname()}:{os.getpid()}:{runtime.ids.new(IdKind.JOB)[-8:]}"
        )
        self.search_index = SearchIndex(runtime, holder)
        self.usage_counters = UsageCounters(
            runtime.store, runtime.clock, holder, self.settings.index_poll
        )
        self.rollups = Rollups(runtime.store, runtime.clock, holder, self.settings.index_poll)
        self.queue = QueueControl(connected.database)
        self._generation = generation_runtime(runtime)
        self.providers = Providers(
            self._generation.endpoints, self.settings.llm_first_token_timeout
        )
        self._queue = QueueRuntime(
            runtime.store,
            self.queue,
            runtime.signer,
            registry,
            own_job_types(
                runtime.store,
                self.usage_counters,
                self.rollups,
                Replying(self._generation),
                Evaluating(runtime),
                Judging(self._generation),
                Summarising(self._generation),
            ),
            Settler(runtime.store, self.settings.queue_ageing, runtime.random),
            runtime.clock,
            runtime.ids,
            runtime.random,
            self.settings.queue_ageing,
            self.settings.write_deadline,
        )
        self.backups = Backups(
            connected.database, connected.server, self.settings, runtime.clock, runtime.random
        )
        self.loops = LoopControl(connected.database, LOOPS)
        self._stop = StopSignal()
        self._background: list[asyncio.Task[bool]] = []
        if self.settings.index_in_background:
            self._background.append(asyncio.create_task(self.search_index.run(self._stop)))
        if self.settings.count_usage_in_background:
            self._background.append(asyncio.create_task(self.usage_counters.run(self._stop)))
        if self.settings.roll_up_in_background:
            self._background.append(asyncio.create_task(self.rollups.run(self._stop)))

    @classmethod
    async def connect(
        cls,
        uri: str | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        random: Callable[[int], bytes] = os.urandom,
        registry: JobRegistry = jobs,
        listeners: list[CommandListener] | None = None,
        **overrides: Any,
    ) -> Self:
        """Connect, check the server, and bring a new database to the declared catalogue.

        Args:
            uri: MongoDB connection string; None takes it from the settings, and without one
                starts the local server.
            settings: Settings; None reads them from `MESSAGE_SERVICE_*` variables.
            clock: Source of the present moment.
            random: Source of random bytes.
            registry: The job types that are known; by default those of `@jobs.handler`.
            listeners: Driver command listeners.
            **overrides: Single settings, for example `database="chat"`.

        Raises:
            InvalidInput: The connection string or a setting is wrong.
            Unavailable: No server answers.
            Unsupported: The server is too old or not a replica set.
            SchemaTooNew: The database was written by a newer release.
            LocalServerError: The local server could not be started.
        """
        chosen = _settings(settings, overrides)
        moment = SystemClock() if clock is None else clock
        if not callable(getattr(moment, "now", None)):
            raise errors.InvalidInput("clock", "is not a clock", "Give an object with now()")
        random = checked_random(random)
        check_instance("registry", registry, JobRegistry)
        connected = await connection.connect(chosen, uri, listeners)
        try:
            await apply.ensure(connected.database, moment)
            secret = await schema_state.cursor_secret(connected.database, random)
            ids = IdFactory(moment, random)
            runtime = Runtime.make(chosen, connected.database, moment, ids, secret, random)
            return cls(connected, runtime, registry)
        except BaseException:
            await connected.close()
            raise

    @property
    def runtime(self) -> Runtime:
        """The shared parts, for the packages of the service; callers use tenants."""
        return self._runtime

    @property
    def store(self) -> Store:
        """The database, for the packages of the service; callers use tenants."""
        return self._runtime.store

    @property
    def conversations(self) -> Conversations:
        """The conversations of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).conversations

    @property
    def messages(self) -> Messages:
        """The messages of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).messages

    @property
    def replies(self) -> Replies:
        """Replies of models in the conversations of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).replies

    @property
    def quality(self) -> Quality:
        """The scores of replies of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).quality

    @property
    def characters(self) -> Characters:
        """The characters of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).characters

    @property
    def search(self) -> Search:
        """Search in the messages of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).search

    @property
    def attachments(self) -> Attachments:
        """The attachments of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).attachments

    @property
    def usage(self) -> Usage:
        """What the messages of the tenant `default` used and cost."""
        return self.tenant(DEFAULT_TENANT).usage

    @property
    def prices(self) -> Prices:
        """What the tenant `default` pays for tokens."""
        return self.tenant(DEFAULT_TENANT).prices

    @property
    def analytics(self) -> Analytics:
        """The summaries of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).analytics

    @property
    def jobs(self) -> Jobs:
        """The jobs of the tenant `default`."""
        return self.tenant(DEFAULT_TENANT).jobs

    def tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant's view.

        Raises:
            InvalidId: Not a tenant name.
        """
        known = self._tenants.get(tenant_id) if isinstance(tenant_id, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if known is not None:
            return known
        tenant = Tenant(self._runtime, self._queue, self._generation, check_tenant(tenant_id))
        self._tenants[tenant_id] = tenant
        return tenant

    async def transaction(self, work: Work[T]) -> T:
        """Run work in a transaction: all of its writes are stored, or none of them.

        Appends take part with `within=`; the packages of the service with `scope.within(...)`.
        When another write or a failover interrupts the work, it is run again from its beginning,
        for `write_deadline` seconds at most.

        Args:
            work: An async function that takes the transaction; its result is returned.

        Raises:
            Unsupported: The server has no transactions.
            OutcomeUnknown: The commit was not answered: all was written, or nothing.
            Unavailable: The server cannot be reached, or other writes interrupted the work until
                the deadline. Nothing was written.
            MessageServiceError: Raised by the work. Nothing was written.
        """
        if not callable(work) or isinstance(work, type):
            raise errors.InvalidInput("work", "is not a function", "Give an async function")
        return await self.store.transaction(work, seconds=self.settings.write_deadline)

    def declare_job_type(self, job_type: str, **options: Any) -> None:
        """Declare a job type of other processes for this service; see `JobRegistry.declare`.

        Raises:
            InvalidInput: The name or an option is wrong.
        """
        self._queue.own.declare(job_type, **options)

    def worker(
        self,
        queues: Sequence[str] = (),
        *,
        concurrency: int = 10,
        grace: float = 20.0,
        loops: bool = True,
    ) -> BackgroundWorker:
        """Return a worker that runs jobs of all tenants in this process; call its `run`.

        Args:
            queues: The queues it listens on; empty for those of all job types with a handler here.
            concurrency: Most jobs it runs at once.
            grace: Seconds running jobs have to end, once the worker is asked to stop.
            loops: Whether the other background work is done too: search index, counters of budgets,
                summaries, and backups where a place is set. The queue's own is in any case.

        Raises:
            InvalidInput: An argument is wrong.
        """
        others = [self.search_index.run, self.usage_counters.run, self.rollups.run]
        if self.settings.backup_target is not None:
            others.append(self.backups.follow)
        return make_worker(
            self._queue,
            self.settings,
            self.tenant,
            self._holder,
            queues=queues,
            concurrency=concurrency,
            grace=grace,
            loops=others if check_flag("loops", loops) else (),
        )

    async def drain(self) -> None:
        """Wait until all appends are written and their conversations updated."""
        await self._runtime.appender.drain()
        await self._runtime.summaries.flush()

    async def close(self) -> None:
        """Finish work in progress and disconnect, in bounded time.

        Work that does not finish in `close_timeout` seconds (because the server is silent, for
        example) is ended: appends that still wait raise `OutcomeUnknown`; indexing is continued by
        another process or the next time.

        Raises:
            Unavailable: Appends or updates of conversations could not be written. The service is
                closed nevertheless.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.close_timeout
        self._stop.request()
        try:
            await within(self.settings.close_timeout, self._finish())
        except TimeoutError:
            raise errors.Unavailable(
                f"what was under way was not written in {self.settings.close_timeout:g} s "
                "and was given up"
            ) from None
        finally:
            await self._runtime.appender.close()
            if self._background:
                # They stop by themselves within their own grace period; they are ended if less
                # time is left.
                await asyncio.wait(self._background, timeout=max(0.0, deadline - loop.time()))
                await end_tasks(self._background)
            await self.search_index.close()
            await self._generation.close()
            await self._runtime.known.close()
            await self._runtime.price_book.close()
            await self._connection.close()

    async def _finish(self) -> None:
        await self._runtime.appender.drain()
        await self._runtime.summaries.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _settings(settings: Settings | None, overrides: dict[str, Any]) -> Settings:
    if settings is not None:
        check_instance("settings", settings, Settings)
    base = settings if settings is not None else checked(Settings, {})
    return checked(Settings, {**base.model_dump(), **overrides}) if overrides else base
