"""Recording a message's usage after the message: when a stream has ended, or the bill corrects it.

The figures have a revision of their own, so that they neither conflict with a change of the message
nor make its search entry stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.arguments import check_mapping, check_text_argument
from message_service.catalogue.follower import USAGE_REVISION
from message_service.catalogue.marks import marked
from message_service.catalogue.queries.messages import MESSAGE_AT_USAGE
from message_service.clock import Clock
from message_service.database.free_form import check_free_form
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.row import Row
from message_service.documents.token_usage import GivenUsage
from message_service.documents.validation import checked
from message_service.messages.new_message import plain_block
from message_service.messages.read_message import read_message
from message_service.messages.rows import StoredMessage
from message_service.usage.price_book import PriceBook
from message_service.usage.recording import Said, replacing, revised, token_usage_of

_ATTEMPTS = 10


class UsageChanges:
    """Records the usage of one tenant's messages.

    Args:
        scope: The tenant's scope.
        prices: What tokens cost.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, prices: PriceBook, clock: Clock) -> None:
        self._scope = scope
        self._prices = prices
        self._clock = clock

    async def record(
        self,
        conversation_id: str,
        message_id: str,
        usage: Mapping[str, Any] | None,
        *,
        token_usage: Mapping[str, Any] | GivenUsage | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> StoredMessage:
        """Record what a message used; a later call replaces an earlier one. Idempotent.

        The cost that was stored first is kept in `token_usage.first_billed`.

        Args:
            conversation_id: The conversation.
            message_id: The message; it may be deleted, because what it cost remains.
            usage: The provider's usage block as it came; empty when it reported nothing, None when
                only `token_usage` says something.
            token_usage: The caller's own counts or costs; with `usage`, costs and tier only.
            provider: The provider, if the message does not name it yet or names another.
            model: The model, likewise.

        Raises:
            NotFound: No such message.
            InvalidInput: A figure is wrong or given twice, or there is none.
            Conflict: The message is a tombstone.
            VersionConflict: Others change its figures all the time.
        """
        block: Any = plain_block(usage)
        if block is not None:
            check_free_form("usage", check_mapping("usage", block))
        given = _given(token_usage)
        if block is None and given is None:
            raise errors.InvalidInput("usage", "is missing", "Give the provider's usage block")
        named: Row = {}
        for name, value in (("provider", provider), ("model", model)):
            if value is not None:
                check_text_argument(name, value, most=MAX_NAME)
                named[f"llm_metadata.{name}"] = value
        for _ in range(_ATTEMPTS):
            stored = await read_message(self._scope, conversation_id, message_id)
            if stored["message_type"] == "tombstone":
                raise errors.Conflict("a tombstone holds no message that could have used tokens")
            llm: Row = stored.get("llm_metadata") or {}
            said = Said(block, given, provider or llm.get("provider"), model or llm.get("model"))
            prices = None
            if said.priced_by is not None:
                prices = await self._prices.of(self._scope.tenant_id, said.priced_by)
            before: Row | None = stored.get("token_usage")
            fields = revised(
                before, token_usage_of(said, stored["timestamps"]["created_at"], prices)
            )
            same = before is not None and _said(before) == _said(fields)
            if same and all(llm.get(path.rpartition(".")[2]) == v for path, v in named.items()):
                return StoredMessage(stored)
            update = replacing(before, fields)
            update["$set"] |= named
            update["$min"] = self._due()
            changed = await self._scope.find_and_update(
                MESSAGE_AT_USAGE,
                update,
                conversation_id=conversation_id,
                message_id=message_id,
                usage_revision=None if before is None else before.get("revision"),
            )
            if changed is not None:
                return StoredMessage(changed)
        raise errors.VersionConflict(
            f"the usage of {message_id!r} is being changed by others all the time; try again"
        )

    def _due(self) -> Row:
        return marked(self._clock.now(), changed=USAGE_REVISION)


def _given(token_usage: Mapping[str, Any] | GivenUsage | None) -> GivenUsage | None:
    if token_usage is None or isinstance(token_usage, GivenUsage):
        return token_usage
    try:
        return checked(GivenUsage, check_mapping("token_usage", token_usage))
    except errors.InvalidInput as error:
        field = f"token_usage.{error.field}".removesuffix(".value")
        raise errors.InvalidInput(field, error.problem, error.fix) from None


def _said(fields: Row) -> Row:
    return {name: value for name, value in fields.items() if name not in ("revision", "counted")}
