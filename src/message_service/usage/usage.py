"""One tenant's usage: the calls callers make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_instance,
    check_sequence,
    check_text_argument,
    check_whole_number,
)
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.clock import Clock, check_datetime
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.fields import MAX_NAME
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id
from message_service.stopping import StopSignal
from message_service.usage.budgets import Budgets
from message_service.usage.explaining import Explanation, explain
from message_service.usage.files import path_of
from message_service.usage.periods import check_period
from message_service.usage.price_book import PriceBook
from message_service.usage.reconciling.comparing import Reconciliation
from message_service.usage.reconciling.reconcile import Reconcile
from message_service.usage.recost import Recost, Recosted
from message_service.usage.reporting.report import Reporting
from message_service.usage.tiers import provider_of

MOST_SUSPECTS = 1_000


class Usage:
    """What one tenant's messages used and cost.

    Args:
        store: The database.
        scope: The tenant's scope.
        book: The prices of all tenants.
        clock: The present moment.

    Attributes:
        budgets: What may be spent.
        check: Whether a call may still be made; see `Budgets.check`.
        report: Tokens and cost by anything; see `Reporting.report`.
    """

    def __init__(self, store: Store, scope: Scope, book: PriceBook, clock: Clock) -> None:
        self._scope = scope
        self._book = book
        self._recost = Recost(scope, book, clock)
        self.budgets = Budgets(store, scope, clock)
        self.check = self.budgets.check
        reporting = Reporting(scope)
        self._reconcile = Reconcile(scope, reporting)
        self.report = reporting.report

    async def recost(
        self,
        since: datetime,
        until: datetime,
        *,
        provider: str | None = None,
        model: str | None = None,
        dry_run: bool = False,
        stop: StopSignal | None = None,
    ) -> Recosted:
        """Compute the cost of a period again, at the prices known now.

        Each message keeps the cost that was stored first in `token_usage.first_billed`. Costs given
        by callers stay. Running it again changes nothing; after a kill it goes on where it was.

        Args:
            since: The first moment of the period.
            until: The first moment after it.
            provider: Only messages of this provider.
            model: Only messages of this model, as they name it.
            dry_run: Whether only to say what would change.
            stop: Asks to stop after the batch in progress.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: The database cannot be reached; what was written stays.
        """
        since, until = check_period(since, until)
        for name, value in (("provider", provider), ("model", model)):
            if value is not None:
                check_text_argument(name, value, most=MAX_NAME)
        check_flag("dry_run", dry_run)
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        return await self._recost.run(
            since, until, provider, model, dry_run=dry_run, stop=stop or StopSignal()
        )

    async def reconcile(
        self,
        file: Path | str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        ignore: Sequence[str] = (),
        most_suspects: int = 20,
    ) -> Reconciliation:
        """Compare a provider's usage export with the messages, by UTC day and model.

        Nothing is written.

        Args:
            file: OpenAI's usage of completions, or Anthropic's of messages, as CSV or JSON.
            since: A moment of the first day to compare; None for the first day in the file.
            until: The first moment after the last day; None for the last day in the file.
            ignore: Columns of the file that are unknown and not wanted.
            most_suspects: Messages to name for each day and model that does not match.

        Raises:
            InvalidInput: An argument is wrong, the file cannot be read, is no such export, has
                unknown columns, or a line is wrong.
        """
        path = path_of("file", file)
        since = None if since is None else check_datetime("since", since)
        until = None if until is None else check_datetime("until", until)
        if since is not None and until is not None:
            check_period(since, until)
        ignored = [
            check_text_argument("ignore", name, most=MAX_NAME)
            for name in check_sequence("ignore", ignore)
        ]
        check_whole_number("most_suspects", most_suspects, 0, MOST_SUSPECTS)
        return await self._reconcile.run(path, since, until, ignored, most_suspects)

    async def explain(self, conversation_id: str, message_id: str) -> Explanation:
        """Return the arithmetic behind the cost of a message.

        Raises:
            NotFound: No such message.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_id(IdKind.MESSAGE, "message_id", message_id)
        message = await self._scope.find_one(
            MESSAGE_BY_ID, conversation_id=conversation_id, message_id=message_id
        )
        if message is None:
            raise errors.NotFound("message", message_id)
        llm: Row = message.get("llm_metadata") or {}
        provider = provider_of(llm.get("provider"))
        prices = None
        if provider is not None:
            prices = await self._book.of(self._scope.tenant_id, provider, fresh=True)
        return explain(message, prices)
