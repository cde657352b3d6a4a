"""The part of the demo about replies: a chat with a small model on this machine."""

from __future__ import annotations

import asyncio

from message_service import errors
from message_service.cli.chat_commands import facts_of
from message_service.cli.context import console
from message_service.cli.replies_shown import check_ended, show_reply
from message_service.documents.job import JobType
from message_service.generation.local_model import LocalModel
from message_service.ids import IdKind, derived_id
from message_service.service import MessageService, Tenant
from message_service.settings import Settings
from message_service.stopping import StopSignal

_SAID = (
    "Hello Luna! What do you like to do in the evening?",
    "Tell me about the stars.",
    "Thank you. Good night!",
)
_CHARACTER = derived_id(IdKind.CHARACTER, "demo luna")
_LUNA = {
    "name": "Luna",
    "description": "{{char}} is a friendly astronomer who answers in one or two short sentences.",
    "author_note": "Answer as {{char}}, briefly.",
    "author_note_depth": 1,
}


async def show_chat(settings: Settings, tenant_id: str, stop: StopSignal) -> None:
    """Chat three turns with the model of the wheel, streamed, with tokens, cost and latency."""
    console.rule("A chat with a model on this machine")
    try:
        # As many tokens a slot as the settings allow; one slot, for one chat.
        serving = LocalModel(port=0, context=settings.llm_context_tokens, parallel=1)
        async with serving as model:
            console.print(f"{model.name} on {model.base_url}", markup=False, highlight=False)
            async with await MessageService.connect(
                settings=settings,
                lmstudio_base_url=model.base_url,
                llm_provider="lmstudio",
                llm_fallbacks=(),
            ) as service:
                await _chat(service, service.tenant(tenant_id), stop)
    except errors.Unsupported as missing:
        console.print(f"left out: {missing.message}", markup=False, soft_wrap=True)


async def _chat(service: MessageService, tenant: Tenant, stop: StopSignal) -> None:
    await tenant.characters.set(_CHARACTER, _LUNA)
    user = derived_id(IdKind.USER, "demo")
    made = await tenant.conversations.create(user, title="Stars", character_id=_CHARACTER)
    ended = StopSignal()
    worker = service.worker([JobType.LLM_GENERATION.value], loops=False)
    working = asyncio.create_task(worker.run(ended))
    try:
        for text in _SAID:
            if stop.requested:
                return
            console.print(f"you>  {text}", markup=False, highlight=False)
            await tenant.messages.append(made.conversation_id, "user", text)
            reply = await tenant.replies.request(made.conversation_id, max_tokens=60)
            console.print("luna> ", end="", style="bold", markup=False)
            check_ended(await show_reply(tenant.replies.follow(reply.reply_id), console))
            message = await tenant.messages.get(made.conversation_id, reply.message_id)
            console.print(facts_of(message.document()), style="dim", markup=False, highlight=False)
    finally:
        ended.request()
        await working
    console.print(
        f"go on with: message-service --tenant demo chat {made.conversation_id}  "
        "(beside `message-service llm serve`)",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
