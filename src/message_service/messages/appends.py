"""Appending to one tenant's conversations: checks, references, repeated requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_instance,
    check_sequence,
    check_whole_number,
)
from message_service.catalogue.queries.messages import MESSAGES_BY_CLIENT_IDS, MESSAGES_BY_IDS
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.message import Role
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id
from message_service.messages.incoming import Prepared, prepare, usage_said
from message_service.messages.known_conversations import FULL_SPAN, KnownConversation
from message_service.messages.new_message import NewMessage, check_new_message
from message_service.messages.outcomes import Appended, Outcome, duplicate_or_conflict
from message_service.messages.runtime import Runtime
from message_service.messages.stored_files import check_stored
from message_service.usage.provider_prices import ProviderPrices


class Appends:
    """Appends to one tenant's conversations.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self._known = runtime.known
        self._appender = runtime.appender
        self._clock = runtime.clock
        self._ids = runtime.ids
        self._prices = runtime.price_book

    async def append(
        self,
        conversation_id: str,
        role: Role | str,
        text: str = "",
        *,
        within: Transaction | None = None,
        **fields: Any,
    ) -> Appended:
        """Append one message, durably, with the next number of its conversation.

        Args:
            conversation_id: An existing conversation.
            role: user, assistant, system or tool.
            text: Up to 50,000 characters; empty only when `parts` or `tool_calls` say something.
            within: The transaction the append takes part in (`MessageService.transaction`).
            **fields: Any other field of `NewMessage`, for example `parts`, `tool_calls`,
                `tool_call_id`, `client_msg_id`, `branch`, `parent_message_id`, `llm_metadata`,
                `usage` (the provider's block as it came), `custom_metadata`.

        Returns:
            The stored message's id and number. For a repeated `client_msg_id` with the same
            content: those of the first call, with `duplicate` set.

        Raises:
            InvalidInput: A field is unknown or wrong (`TextTooLong`, `InvalidId`).
            NotFound: No such conversation, branch or parent message in this tenant.
            IdempotencyConflict: The `client_msg_id` was used with other content.
            AlreadyExists: The `message_id` is taken.
            ConversationClosed: The conversation is archived.
            Unavailable: No answer before the write deadline (`OutcomeUnknown`: it may be stored).
        """
        message = check_new_message({**fields, "role": role, "text": text})
        [outcome] = await self._append(conversation_id, [message], within=within)
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome
        return outcome

    async def append_checked(
        self,
        conversation_id: str,
        role: Role,
        text: str,
        *,
        within: Transaction,
        tail: int,
        **fields: Any,
    ) -> Appended:
        """Append a message as part of a transaction that has seen whatever it refers to.

        References are not looked up again. Errors are those of `append`.

        Args:
            conversation_id: As for `append`.
            role: As for `append`.
            text: As for `append`.
            within: The transaction.
            tail: The conversation's highest number, as the transaction sees it.
            **fields: As for `append`.
        """
        message = check_new_message({**fields, "role": role, "text": text})
        [outcome] = await self._append(conversation_id, [message], within=within, seen=tail)
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome
        return outcome

    async def append_many(
        self,
        conversation_id: str,
        messages: Sequence[Mapping[str, Any] | NewMessage],
        *,
        backlog: bool = False,
        expected_tail: int | None = None,
        within: Transaction | None = None,
    ) -> list[Outcome]:
        """Append messages of one conversation in order.

        All messages are checked before any is written. Then each message has its own result, in
        order: an `Appended`, or the error it met (an idempotency conflict, for example), which
        does not stop the others.

        Args:
            conversation_id: An existing conversation.
            messages: `NewMessage` fields, each with `role` and a text or parts. A message may
                name an earlier one of the list as its parent.
            backlog: Index these messages after all live messages (for imports).
            expected_tail: The conversation's highest number as the caller read it. The messages
                must directly follow it and one another. From the point where another writer has
                taken a number they are not stored and their result is `VersionConflict`; all have
                that result when the conversation is not (or not surely) known up to that number.
            within: The transaction the appends take part in (`MessageService.transaction`). The
                first error is then raised, which ends the transaction.

        Raises:
            InvalidInput: A message is wrong; the field begins with its place (`messages.3.text`).
                Or `expected_tail` is above the highest number. Nothing was written.
            NotFound: As for `append`. Nothing was written.
        """
        check_flag("backlog", backlog)
        if expected_tail is not None:
            check_whole_number("expected_tail", expected_tail, 0, FULL_SPAN)
        checked: list[NewMessage] = []
        for place, values in enumerate(check_sequence("messages", messages)):
            try:
                checked.append(check_new_message(values))
            except errors.InvalidInput as error:
                raise _placed(error, place) from None
        return await self._append(
            conversation_id,
            checked,
            backlog=backlog,
            expected_tail=expected_tail,
            within=within,
        )

    async def _append(
        self,
        conversation_id: str,
        messages: Sequence[NewMessage],
        *,
        backlog: bool = False,
        expected_tail: int | None = None,
        within: Transaction | None = None,
        seen: int | None = None,
    ) -> list[Outcome]:
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        if not messages:
            return []
        if within is None:
            scope = self._scope
            state = await self._known.get(scope.tenant_id, conversation_id)
        else:
            check_instance("within", within, Transaction)
            scope = self._scope.within(within)
            state = await self._known.inside(scope, conversation_id, tail=seen)
        if within is None and expected_tail is not None and expected_tail > state.tail:
            await self._known.refresh(state)
            if expected_tail > state.tail:
                # Messages after that number would leave a hole. The caller may have read the number
                # before a majority had it; then a failover can still remove it.
                ahead = errors.VersionConflict(
                    f"conversation {conversation_id!r} is known up to number {state.tail} only, "
                    f"not {expected_tail}; read it again",
                    sequence_number=state.tail,
                )
                return [ahead for _ in messages]
        prices = await self._prices_for(messages)
        now = self._clock.now()
        prepared: list[Prepared] = []
        for place, message in enumerate(messages):
            try:
                prepared.append(
                    prepare(
                        message,
                        tenant_id=self._scope.tenant_id,
                        conversation_id=conversation_id,
                        owner=state.user_id,
                        character_id=state.character_id,
                        message_id=message.message_id or self._ids.new(IdKind.MESSAGE),
                        now=now,
                        backlog=backlog,
                        prices=prices,
                    )
                )
            except errors.InvalidInput as error:
                raise (error if len(messages) == 1 else _placed(error, place)) from None
        if not backlog:  # an import may bring messages before their files
            await _check_files(scope, prepared)
        await self._check_branches(state, prepared)
        if seen is None:
            await _check_references(scope, conversation_id, prepared)
        if within is not None:
            return [
                *await self._appender.append_within(
                    within, scope, state, prepared, after=expected_tail
                )
            ]
        if len(prepared) == 1:
            return await self._appender.append(state, prepared, after=expected_tail)
        return await self._append_new(state, prepared, expected_tail)

    async def _append_new(
        self, state: KnownConversation, prepared: Sequence[Prepared], after: int | None
    ) -> list[Outcome]:
        """Append a list; look up first which of the messages are stored already.

        The unique index would find the duplicates too, but at one round trip each.
        """
        keys = [item.client_msg_id for item in prepared if item.client_msg_id is not None]
        stored: dict[str, Row] = {}
        if keys and state.tail > 0:
            rows = await self._scope.find(
                MESSAGES_BY_CLIENT_IDS,
                conversation_id=state.conversation_id,
                client_msg_ids=keys,
            )
            stored = {row["client_metadata"]["client_msg_id"]: row for row in rows}
        fresh = [item for item in prepared if item.client_msg_id not in stored]
        written = iter(await self._appender.append(state, fresh, after=after) if fresh else [])
        return [
            duplicate_or_conflict(item, stored[item.client_msg_id])
            if item.client_msg_id is not None and item.client_msg_id in stored
            else next(written)
            for item in prepared
        ]

    async def _prices_for(self, messages: Sequence[NewMessage]) -> Mapping[str, ProviderPrices]:
        """Return the prices of the providers that the messages' usage names."""
        named = {
            provider
            for message in messages
            if message.usage is not None or message.token_usage is not None
            if (provider := usage_said(message).priced_by) is not None
        }
        tenant_id = self._scope.tenant_id
        return {provider: await self._prices.of(tenant_id, provider) for provider in named}

    async def _check_branches(self, state: KnownConversation, prepared: Sequence[Prepared]) -> None:
        """Refuse a branch that does not exist."""
        for branch in {item.branch for item in prepared if item.branch is not None}:
            await self._known.know_branch(state, branch)
            state.segments(branch)


async def _check_files(scope: Scope, prepared: Sequence[Prepared]) -> None:
    """Refuse pointers to files that are not stored."""
    for place, item in enumerate(prepared):
        try:
            await check_stored(scope, item.document["content"])
        except errors.InvalidInput as error:
            raise (error if len(prepared) == 1 else _placed(error, place)) from None


async def _check_references(
    scope: Scope, conversation_id: str, prepared: Sequence[Prepared]
) -> None:
    """Refuse references to messages that do not exist."""
    coming: set[str] = set()
    wanted: dict[str, None] = {}
    for item in prepared:
        wanted.update((ref, None) for ref in item.references if ref not in coming)
        coming.add(item.document["message_id"])
    if not wanted:
        return
    rows = await scope.find(
        MESSAGES_BY_IDS, conversation_id=conversation_id, message_ids=list(wanted)
    )
    found = {row["message_id"] for row in rows}
    for reference in wanted:
        if reference not in found:
            raise errors.NotFound("message", reference)


def _placed(error: errors.InvalidInput, place: int) -> errors.InvalidInput:
    """Return the error with the place of its message in the list added to the field."""
    return type(error)(f"messages.{place}.{error.field}", error.problem, error.fix)
