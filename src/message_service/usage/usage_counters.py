"""The counters of all tenants' usage, for operators: keep them up to date."""

from __future__ import annotations

from message_service.clock import Clock
from message_service.database.store import Store
from message_service.loops.backlog import Backlog
from message_service.usage.counting import UsageCounting


class UsageCounters(Backlog[UsageCounting]):
    """The counters that budgets are compared with.

    They need not be up to date: `usage.check` adds what is not counted yet. But the more that is,
    the longer it takes.

    Args:
        store: The database.
        clock: The present moment.
        holder: Name of this process, unique.
        poll: Seconds between looks at the work list when nothing wakes the loop.
    """

    def __init__(self, store: Store, clock: Clock, holder: str, poll: float) -> None:
        super().__init__(UsageCounting(store, poll=poll), store, clock, holder, poll)
