"""`python -m benchmarks.analytics_totals`: summaries of the demo's data against DuckDB.

Imports the 258,112 messages of the chitchat data set, lets the rollup loop summarise them, exports
them, and has DuckDB compute what every summary of every user, conversation and of the tenant must
say from the exported file. Exit code 1 when anything differs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.harness import fresh_service
from message_service import MessageService, Summary
from message_service.interchange.known_formats import FORMATS
from message_service.interchange.report import ImportReport
from message_service.local_server.manager import LocalServerManager

SINCE, UNTIL = date(2017, 1, 1), date(2027, 1, 1)
KEYS = {"tenant": "'all'", "user": "user_id", "conversation": "conversation_id"}
MESSAGES = """
CREATE TABLE messages AS
SELECT
    document->>'conversation_id' AS conversation_id,
    document->>'user_id' AS user_id,
    document->>'role' AS role,
    document->>'status' AS status,
    (document->>'$.timestamps.created_at."$date"')::TIMESTAMP AS said_at,
    (document->>'$.content.character_count')::BIGINT AS characters,
    (document->>'$.content.word_count')::BIGINT AS words
FROM read_json(?, columns = {document: 'JSON', kind: 'VARCHAR'}, format = 'newline_delimited',
    maximum_object_size = 100000000)
WHERE kind = 'message'
"""
SUMMARIES = """
SELECT
    date_trunc('{period}', said_at)::DATE AS first,
    {key} AS key,
    count(*) AS total_messages,
    count(*) FILTER (role = 'user') AS user_messages,
    count(*) FILTER (role = 'assistant') AS assistant_messages,
    count(*) FILTER (status = 'deleted') AS deleted_messages,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT conversation_id) AS unique_conversations,
    sum(characters)::BIGINT AS total_characters,
    sum(words)::BIGINT AS total_words,
    sum(characters) / count(*) AS avg_message_length,
    count(*) FILTER (characters <= 50) AS short,
    count(*) FILTER (characters > 200) AS long
FROM messages GROUP BY ALL
"""


async def _filled(service: MessageService) -> None:
    chitchat = next(known for known in FORMATS if known.name == "chitchat")
    report = ImportReport()
    async for _ in service.tenant("default").transfer.importer.run(
        "chitchat", chitchat.read([]), report
    ):
        pass
    started = time.perf_counter()
    count = await service.rollups.drain()
    took = time.perf_counter() - started
    print(f"{count:,} messages summarised as they came: {count / took:,.0f}/s", flush=True)


async def _exported(service: MessageService, file: Path) -> None:
    with file.open("wb") as out:
        async for line in service.tenant("default").transfer.export_lines():
            out.write(line.encode())


def _said(summary: Summary) -> dict[str, Any]:
    lengths = summary.distributions.message_length_distribution or {}
    counts = summary.message_metrics.model_dump()
    return {**counts, "short": lengths.get("0-50"), "long": lengths.get("201+")}


def _differences(said: dict[str, Any], must: dict[str, Any]) -> Iterator[str]:
    for name, right in must.items():
        found = said[name]
        if found != right and not (isinstance(right, float) and abs(found - right) < 1e-9 * right):
            yield f"{name} is {found}, must be {right}"


async def _compare(service: MessageService, file: Path) -> tuple[int, int, list[str]]:
    database = duckdb.connect()
    database.execute(MESSAGES, [str(file)])
    summaries = figures = 0
    wrong: list[str] = []
    for period in ("day", "week", "month"):
        for by, key in KEYS.items():
            rows = database.execute(SUMMARIES.format(period=period, key=key))
            names = [column[0] for column in rows.description or ()]
            must = {row[:2]: dict(zip(names[2:], row[2:], strict=True)) for row in rows.fetchall()}
            async for summary in _each(service, by, period):
                name = next(iter(summary.key.values()), "all")
                expected = must.pop((summary.first, name), None)
                summaries += 1
                if expected is None:
                    wrong.append(f"{by} {name}, {period} {summary.first}: there are no messages")
                    continue
                figures += len(expected)
                found = _differences(_said(summary), expected)
                wrong += [f"{by} {name}, {period} {summary.first}: {each}" for each in found]
            wrong += [f"{by} {name}, {period} {first}: is missing" for first, name in must]
    return summaries, figures, wrong


async def _each(service: MessageService, by: str, period: str) -> AsyncIterator[Summary]:
    if by == "tenant":
        for summary in (await service.analytics.series(SINCE, UNTIL, period)).summaries:
            if summary.message_metrics.total_messages:
                yield summary
        return
    async for summary in service.analytics.each(by, SINCE, UNTIL, period):
        yield summary


async def _run() -> int:
    with tempfile.TemporaryDirectory() as directory:
        manager = LocalServerManager(Path(directory) / "server", None)
        uri = (await manager.start()).uri
        try:
            async with fresh_service(uri) as service:
                await _filled(service)
                file = Path(directory) / "export.jsonl"
                await _exported(service, file)
                summaries, figures, wrong = await _compare(service, file)
        finally:
            await manager.stop()
    for line in wrong[:20]:
        print(line)
    print(
        f"{summaries:,} summaries, {figures:,} figures compared with DuckDB "
        f"{duckdb.__version__}: " + (f"{len(wrong):,} differ" if wrong else "all are equal")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_run()))
