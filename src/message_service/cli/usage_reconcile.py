"""`usage reconcile`: a provider's usage export compared with the messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.numbers import number
from message_service.cli.running import run_once
from message_service.cli.values import moment
from message_service.usage.reconciling.comparing import Agreement, ComparedUsage, Reconciliation
from message_service.usage.usage import MOST_SUSPECTS


def reconcile(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Usage export of OpenAI or Anthropic, CSV or JSON.")],
    since: Annotated[
        str | None, typer.Option("--from", help="First day; without it, the file's.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Day after the last; without it, the file's.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Unknown column that is not wanted; may be repeated.")
    ] = None,
    suspects: Annotated[
        int, number(int, 0, MOST_SUSPECTS, "Messages to name for each day and model.")
    ] = 5,
    as_json: JsonOption = False,
) -> None:
    """Compare a provider's usage export with the messages, by UTC day and model.

    Exits with 12 when they do not match.
    """
    begin = None if since is None else moment("since", since)
    end = None if until is None else moment("until", until)

    async def run() -> Reconciliation:
        async with connected_tenant(ctx) as tenant:
            return await tenant.usage.reconcile(
                file, since=begin, until=end, ignore=ignore or (), most_suspects=suspects
            )

    found = run_once(run())
    if as_json:
        print_json(_plain(found))
    else:
        _print(found)
    if not found.matches:
        raise errors.UsageDiffers(
            f"{_counts(found)} of {len(found.rows):,} days and models do not match"
        )


def _plain(found: Reconciliation) -> dict[str, object]:
    rows = [asdict(row) | {"difference": row.difference} for row in found.rows]
    return {
        "provider": found.provider,
        "export": found.shape,
        "since": found.since,
        "until": found.until,
        "matches": found.matches,
        "rows": rows,
    }


def _print(found: Reconciliation) -> None:
    title = f"{found.shape}, {found.since} to {found.until} (UTC days, end excluded)"
    wrong = [row for row in found.rows if row.agreement is not Agreement.MATCH]
    if wrong:
        print_table(
            title,
            ("day", "model", "agreement", "here", "there", "messages / requests"),
            [
                (
                    row.day,
                    row.model,
                    row.agreement.replace("_", " "),
                    _figures(row, row.here),
                    _figures(row, row.there),
                    f"{row.messages:,} / {'-' if row.requests is None else f'{row.requests:,}'}",
                )
                for row in wrong
            ],
        )
        for row in wrong:
            _print_suspects(row)
    matching = found.count(Agreement.MATCH)
    console.print(
        f"{matching:,} of {len(found.rows):,} days and models match ({title})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _print_suspects(row: ComparedUsage) -> None:
    lines = [
        f"  {each.conversation_id} {each.message_id} {each.created_at:%H:%M:%S} "
        f"{each.tokens:,} tokens: {each.reason}"
        for each in row.suspects
    ]
    if row.more:
        lines.append(f"  and {row.more:,} more (--suspects)")
    if not lines:
        lines.append(
            "  no message here is about it"
            if row.agreement is Agreement.MISSING_HERE
            else "  no single message explains it"
        )
    for line in (f"{row.day} {row.model}, {row.agreement.replace('_', ' ')}:", *lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _figures(row: ComparedUsage, counts: Mapping[str, int]) -> str:
    """Return the counts that differ, or all if that is nothing."""
    return "\n".join(
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in counts.items()
        if row.difference[name] or not any(row.difference.values())
    )


def _counts(found: Reconciliation) -> str:
    return f"{len(found.rows) - found.count(Agreement.MATCH):,}"
