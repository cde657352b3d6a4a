"""Budgets: what a tenant, user or character may spend, and whether a call is still within."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from message_service import errors
from message_service.arguments import check_number, check_whole_number
from message_service.catalogue.queries.usage_counters import (
    BUDGET,
    BUDGETS,
    BUDGETS_OF_SUBJECTS,
    UNCOUNTED,
    UNCOUNTED_MESSAGES,
    USAGE_COUNTERS_OF_SUBJECT,
)
from message_service.clock import Clock
from message_service.database.decimals import decimal
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.documents.row import Row
from message_service.documents.usage_counter import Period, UsageBudget
from message_service.documents.validation import checked
from message_service.ids import IdKind, check_id
from message_service.usage.blocks import MOST_TOKENS
from message_service.usage.counters import ANY, Counter, day_of, subject_of
from message_service.usage.periods import bounds

TOKENS = "tokens"
"""The unit of a budget in tokens; any other is a currency."""


class Verdict(StrEnum):
    """Whether something may still be spent."""

    ALLOWED = "allowed"
    NEAR = "near"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as it was set.

    Attributes:
        subject: Who spends: `tenant:NAME`, `user:ID`, `character:ID`, or `user:*` for every user.
        period: The period.
        unit: The currency, or `tokens`.
        limit: The most that may be spent.
        near: The share of the limit from which it is nearly spent.
    """

    subject: str
    period: Period
    unit: str
    limit: Decimal
    near: float


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How much of a budget is spent.

    Attributes:
        budget: The budget.
        subject: Whose spending it is; the budget's, or one of those it is for.
        since: The first moment of the period.
        until: The first moment after it.
        spent: What its messages cost, to the last digit.
        verdict: Whether it is nearly or wholly spent, with what was asked for.
    """

    budget: Budget
    subject: str
    since: datetime
    until: datetime
    spent: Decimal
    verdict: Verdict

    @property
    def left(self) -> Decimal:
        """What may still be spent; not below zero."""
        return max(self.budget.limit - self.spent, Decimal(0))


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """The answer to whether a call may be made.

    Attributes:
        verdict: The worst of all budgets; allowed when there are none.
        budgets: Each budget that concerns the call.
    """

    verdict: Verdict
    budgets: tuple[BudgetStatus, ...]


class Budgets:
    """One tenant's budgets.

    Args:
        store: The database.
        scope: The tenant's scope.
        clock: The present moment.
    """

    def __init__(self, store: Store, scope: Scope, clock: Clock) -> None:
        self._store = store
        self._scope = scope
        self._clock = clock

    async def set(
        self,
        limit: Decimal | int | str,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        period: Period | str = Period.MONTH,
        unit: str = "USD",
        near: float = 0.8,
    ) -> Budget:
        """Set a budget, in the place of an earlier one of the same subject, period and unit.

        Args:
            limit: The most that may be spent.
            user_id: A user, or `*` for every user by itself; None and no character: the tenant.
            character_id: A character, likewise.
            period: day, week or month, of UTC.
            unit: The currency, or `tokens`.
            near: The share of the limit from which it is nearly spent.

        Raises:
            InvalidInput: An argument is wrong.
        """
        subject = self._subject(user_id, character_id)
        check_number("near", near, 0, 1)
        amount = checked_amount("limit", limit)
        budget = checked(
            UsageBudget,
            {
                "tenant_id": self._scope.tenant_id,
                "subject": subject,
                "period": period,
                "unit": unit,
                "limit": amount,
                "near": float(near),
                "set_at": self._clock.now(),
            },
        )
        fields = budget.to_bson()
        key = {name: fields.pop(name) for name in ("subject", "period", "unit")}
        del fields["tenant_id"]
        await self._scope.update_each(BUDGET, [(key, {"$set": fields})], upsert=True)
        return Budget(subject, budget.period, budget.unit, amount, budget.near)

    async def remove(
        self,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        period: Period | str = Period.MONTH,
        unit: str = "USD",
    ) -> bool:
        """Remove a budget; return whether there was one of this subject, period and unit.

        Raises:
            InvalidInput: An argument is wrong.
        """
        subject = self._subject(user_id, character_id)
        values = {"subject": subject, "period": _period(period).value, "unit": _unit(unit)}
        return await self._store.delete_each(BUDGET, [(self._scope.tenant_id, values)]) > 0

    async def list(self) -> list[Budget]:
        """Return every budget of the tenant."""
        return [_budget(row) for row in await self._scope.find(BUDGETS)]

    async def status(
        self, *, user_id: str | None = None, character_id: str | None = None
    ) -> list[BudgetStatus]:
        """Return how much is spent of the budgets that concern a user and a character.

        Args:
            user_id: The user; None for none.
            character_id: The character; None for none.
        """
        answer = await self.check(user_id=user_id, character_id=character_id)
        return [*answer.budgets]

    async def check(
        self,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        expected_cost: Decimal | int | str = 0,
        expected_tokens: int = 0,
    ) -> BudgetCheck:
        """Return whether a call may be made, before it is made.

        The budgets of the tenant, the user and the character are compared with exactly what their
        messages cost so far. Nothing is reserved: calls at the same time do not see one another.

        Args:
            user_id: The user the call is for.
            character_id: The character.
            expected_cost: What the call will cost, in the currency of the budgets.
            expected_tokens: The tokens it will use.

        Raises:
            InvalidInput: An argument is wrong.
        """
        cost = checked_amount("expected_cost", expected_cost)
        check_whole_number("expected_tokens", expected_tokens, 0, MOST_TOKENS)
        own = subject_of("tenant", self._scope.tenant_id)
        subjects = {own: own}  # of a budget, and of the counters it is compared with
        for kind, name, of in (
            (IdKind.USER, user_id, "user"),
            (IdKind.CHARACTER, character_id, "character"),
        ):
            if name is not None:
                check_id(kind, f"{of}_id", name)
                subjects[subject_of(of, name)] = subjects[subject_of(of, ANY)] = subject_of(
                    of, name
                )
        now = self._clock.now()

        async def read(transaction: Transaction) -> list[BudgetStatus]:
            scope = self._scope.within(transaction)
            rows = await scope.find(BUDGETS_OF_SUBJECTS, subjects=sorted(subjects))
            found: list[BudgetStatus] = []
            for budget in map(_budget, rows):
                since, until = bounds(budget.period, now)
                subject = subjects[budget.subject]
                spent = await _spent(scope, subject, budget.unit, since, until)
                more = Decimal(expected_tokens) if budget.unit == TOKENS else cost
                verdict = _verdict(budget, spent, more)
                found.append(BudgetStatus(budget, subject, since, until, spent, verdict))
            return found

        # One snapshot: a message that is counted meanwhile is seen in one place exactly.
        budgets = await self._store.transaction(read)
        order = list(Verdict)
        worst = max((each.verdict for each in budgets), key=order.index, default=Verdict.ALLOWED)
        return BudgetCheck(worst, tuple(budgets))

    def _subject(self, user_id: str | None, character_id: str | None) -> str:
        if user_id is not None and character_id is not None:
            raise errors.InvalidInput(
                "character_id", "is given beside a user", "Set a budget for each of them"
            )
        for kind, field, name in (
            (IdKind.USER, "user_id", user_id),
            (IdKind.CHARACTER, "character_id", character_id),
        ):
            if name is not None:
                if not isinstance(name, str) or name != ANY:  # pyright: ignore[reportUnnecessaryIsInstance]
                    check_id(kind, field, name)
                return subject_of(field.removesuffix("_id"), name)
        return subject_of("tenant", self._scope.tenant_id)


async def _spent(
    scope: Scope, subject: str, unit: str, since: datetime, until: datetime
) -> Decimal:
    """Return what a subject spent: what is counted, and what the messages not counted yet add."""
    kind, _, name = subject.partition(":")
    whose: dict[str, Any] = {
        "user_id": name if kind == "user" else None,
        "character_id": name if kind == "character" else None,
    }
    rows = await scope.find(USAGE_COUNTERS_OF_SUBJECT, subject=subject, since=since, until=until)
    counters = {row["date"]: Counter.of(row) for row in rows}
    if any(counter.applied for counter in counters.values()):
        async for message in scope.stream(UNCOUNTED_MESSAGES, since=since, until=until, **whose):
            day = day_of(message["timestamps"]["created_at"])
            counter = counters.setdefault(day, Counter((scope.tenant_id, subject, day)))
            counter.take_in(message)
        waiting: list[Row] = []
    else:
        waiting = await scope.aggregate(UNCOUNTED, since=since, until=until, **whose)
    if unit == TOKENS:
        counted = sum(counter.tokens for counter in counters.values())
        return Decimal(counted + sum(row["tokens"] for row in waiting))
    return sum(
        (
            *(counter.cost.get(unit, Decimal(0)) for counter in counters.values()),
            *(decimal(row["cost"]) for row in waiting if row["_id"] == unit),
        ),
        Decimal(0),
    )


def _verdict(budget: Budget, spent: Decimal, more: Decimal) -> Verdict:
    after = spent + more
    if after > budget.limit or spent >= budget.limit:
        return Verdict.OVER
    return Verdict.NEAR if after >= budget.limit * Decimal(repr(budget.near)) else Verdict.ALLOWED


def checked_amount(field: str, value: object) -> Decimal:
    """Return an amount given by a caller.

    Raises:
        InvalidInput: It is no amount of 0 or more with at most 12 decimal places.
    """
    amount: Decimal | None = None
    if isinstance(value, (Decimal, int, str)) and not isinstance(value, bool):
        try:
            amount = Decimal(value)
        except (ArithmeticError, ValueError):
            amount = None
    exponent: Any = None if amount is None else amount.as_tuple().exponent
    if amount is None or not amount.is_finite() or not 0 <= amount <= 10**15 or exponent < -12:
        raise errors.InvalidInput(
            field, "is not an amount", "Give a Decimal, or a text such as '20.50', from 0 to 10^15"
        )
    return amount


def _period(period: object) -> Period:
    if isinstance(period, str) and period in list(Period):
        return Period(period)
    raise errors.InvalidInput("period", "is not a period", f"Use {', '.join(Period)}")


def _unit(unit: object) -> str:
    if not isinstance(unit, str) or not (unit == TOKENS or (len(unit) == 3 and unit.isupper())):
        raise errors.InvalidInput("unit", "is not a unit", "Use a currency such as USD, or tokens")
    return unit


def _budget(row: Row) -> Budget:
    return Budget(
        row["subject"], Period(row["period"]), row["unit"], decimal(row["limit"]), row["near"]
    )
