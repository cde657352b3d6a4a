"""`generation`: ask for replies, follow and stop them; see prompts and providers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.numbers import MOST, number
from message_service.cli.replies_shown import check_ended, show_reply
from message_service.cli.running import run_once
from message_service.enrichment.text_statistics import sanitize
from message_service.generation.prompt.building import Prompt
from message_service.generation.provider_status import ProviderStatus
from message_service.generation.reply_request import OnInterruption

app = typer.Typer(no_args_is_help=True)

ConversationArgument = Annotated[str, typer.Argument(help="Conversation id.")]
ReplyArgument = Annotated[str, typer.Argument(help="Reply id.", metavar="REPLY")]
BranchOption = Annotated[str | None, typer.Option(help="Branch; without it, the active one.")]
ProviderOption = Annotated[
    str | None, typer.Option("--provider", help="Provider: lmstudio, openai, anthropic, scripted.")
]
ModelOption = Annotated[str | None, typer.Option(help="Model; without it, that of the settings.")]
MaxTokensOption = Annotated[int | None, number(int, 1, 1_000_000, "Most tokens of the reply.")]
ContextOption = Annotated[
    int | None,
    number(int, 16, 10_000_000, "Tokens of prompt and reply together."),
]
WindowOption = Annotated[int | None, number(int, 1, 5_000, "Most messages of the prompt.")]

_MODELS_SHOWN = 5


def chosen(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


@app.command("request")
def request(
    ctx: typer.Context,
    conversation: ConversationArgument,
    branch: BranchOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    temperature: Annotated[
        float | None, number(float, 0, 10, "0 chooses the likeliest words.")
    ] = None,
    max_tokens: MaxTokensOption = None,
    context_tokens: ContextOption = None,
    window: WindowOption = None,
    fallback: Annotated[
        list[str] | None,
        typer.Option(help="PROVIDER:MODEL to ask next; may be repeated.", metavar="MODEL"),
    ] = None,
    on_interruption: Annotated[
        OnInterruption | None, typer.Option(help="What becomes of a reply that broke off.")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option(help="Name of the request, to repeat it safely.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Print the reply while it is said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for a reply to the last message; a worker makes it."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            reply = await tenant.replies.request(
                conversation,
                branch=branch,
                request_id=request_id,
                **chosen(
                    llm_provider=provider,
                    model=model,
                    temperature=temperature,
                    max_tokens=max_tokens,
                    context_tokens=context_tokens,
                    context_window_size=window,
                    fallbacks=fallback,
                    on_interruption=on_interruption,
                ),
            )
            if follow:
                last = await show_reply(tenant.replies.follow(reply.reply_id), console)
                check_ended(last)
            elif as_json:
                print_json(asdict(reply))
            else:
                said = " (asked for before)" if reply.duplicate else ""
                console.print(f"{reply.reply_id}{said}", markup=False, soft_wrap=True)

    run_once(run())


@app.command("follow")
def follow_command(
    ctx: typer.Context,
    reply: ReplyArgument,
    after: Annotated[int | None, number(int, 0, MOST, "Offset of the last event seen.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line.")] = False,
) -> None:
    """Print a reply while it is said, or what is still kept of it."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            events = tenant.replies.follow(reply, after=-1 if after is None else after)
            if not as_json:
                check_ended(await show_reply(events, console))
                return
            async for event in events:
                plain = {name: value for name, value in asdict(event).items() if value}
                line = json.dumps({"offset": event.offset, **plain}, ensure_ascii=False)
                console.file.write(line + "\n")
                console.file.flush()

    run_once(run())


@app.command("show")
def show(ctx: typer.Context, reply: ReplyArgument, as_json: JsonOption = False) -> None:
    """Show how a reply stands, and why there is none."""

    async def run() -> dict[str, Any]:
        async with connected_tenant(ctx) as tenant:
            return asdict(await tenant.replies.get(reply))

    found = {name: value for name, value in run_once(run()).items() if value is not None}
    if as_json:
        print_json(found)
    else:
        print_table("Reply", ("field", "value"), [*found.items()])


@app.command("cancel")
def cancel(ctx: typer.Context, reply: ReplyArgument, as_json: JsonOption = False) -> None:
    """Stop a reply; what it has said so far is stored."""

    async def run() -> dict[str, Any]:
        async with connected_tenant(ctx) as tenant:
            return asdict(await tenant.replies.cancel(reply))

    found = run_once(run())
    if as_json:
        print_json({name: value for name, value in found.items() if value is not None})
    else:
        console.print(f"{reply} is {found['status']}", markup=False, soft_wrap=True)


@app.command("preview")
def preview(
    ctx: typer.Context,
    conversation: ConversationArgument,
    branch: BranchOption = None,
    max_tokens: MaxTokensOption = None,
    context_tokens: ContextOption = None,
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print exactly what a model would be sent, section by section."""

    async def run() -> Prompt:
        async with connected_tenant(ctx) as tenant:
            return await tenant.replies.preview(
                conversation,
                branch=branch,
                **chosen(
                    max_tokens=max_tokens,
                    context_tokens=context_tokens,
                    context_window_size=window,
                ),
            )

    prompt = run_once(run())
    if as_json:
        print_json(
            {
                "tokens": prompt.tokens,
                "budget": prompt.budget,
                **prompt.context_metadata(),
                "sections": [
                    {"name": section.name, "tokens": section.tokens, "left_out": section.left_out}
                    for section in prompt.sections
                ],
                "turns": [
                    {
                        "role": turn.role,
                        "text": turn.text,
                        **({"call_id": turn.call_id} if turn.call_id else {}),
                        **(
                            {"calls": [call.model_dump() for call in turn.calls]}
                            if turn.calls
                            else {}
                        ),
                    }
                    for turn in prompt.turns
                ],
            }
        )
        return
    print_table(
        f"Prompt of {conversation}: {prompt.tokens} of {prompt.budget} tokens",
        ("section", "tokens", "turns", "left out"),
        (
            (section.name, section.tokens, len(section.turns), section.left_out or None)
            for section in prompt.sections
        ),
    )
    for turn in prompt.turns:
        calls = "".join(f" [{call.name} {call.arguments}]" for call in turn.calls)
        console.print(f"{turn.role}:", style="bold", markup=False, end=" ")
        console.print(sanitize(turn.text + calls), markup=False, highlight=False, soft_wrap=True)


@app.command("providers")
def providers(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Ask every provider for its models; show who answers, and the limits."""

    async def run() -> Sequence[ProviderStatus]:
        async with connected_service(ctx) as service:
            return await service.providers.status()

    found = run_once(run())
    if as_json:
        print_json({"providers": [asdict(each) for each in found]})
        return
    table = Table(title="Providers", title_justify="left")
    for name in ("provider", "address", "key", "answers", "models", "at once", "per minute"):
        table.add_column(name, overflow="fold")
    for each in found:
        names = [model.name for model in each.models]
        more = f" and {len(names) - _MODELS_SHOWN} more" if len(names) > _MODELS_SHOWN else ""
        breaker = "" if each.breaker == "closed" else f" ({each.breaker})"
        table.add_row(
            " = ".join((each.name, *each.aliases)),
            each.base_url,
            "set" if each.key_set else "",
            "yes" if each.reachable else f"no: {each.reason}{breaker}",
            sanitize(", ".join(names[:_MODELS_SHOWN]) + more),
            str(each.concurrency),
            "" if each.per_minute is None else f"{each.per_minute:g}",
        )
    console.print(table, markup=False)
