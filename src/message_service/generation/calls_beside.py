"""What calls of a model take that make no message: those of summaries and judges.

Their tokens and cost stand where their work stands; usage reports and budgets count messages only.
"""

from __future__ import annotations

from dataclasses import replace

from message_service import errors
from message_service.documents.row import Row
from message_service.generation.draft import Draft
from message_service.messages.runtime import Runtime
from message_service.usage.recording import Said, token_usage_of


async def usage_of(runtime: Runtime, tenant_id: str, draft: Draft) -> Row:
    """Return the tokens and the cost of an answer, in the form of a message's `token_usage`."""
    said = Said(draft.usage or {}, None, draft.provider, draft.model)
    priced_by = said.priced_by
    prices = None if priced_by is None else await runtime.price_book.of(tenant_id, priced_by)
    now = runtime.clock.now()
    try:
        return token_usage_of(said, now, prices)
    except errors.InvalidInput:  # what the provider reports makes no sense
        return token_usage_of(replace(said, block={}), now, prices)
