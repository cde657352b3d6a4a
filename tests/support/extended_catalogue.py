"""Applies the catalogue of the package on the path, and asks the server and the rules about it."""

from __future__ import annotations

import asyncio
import json
import sys

from message_service.catalogue.declared import CATALOGUE, QUERIES
from message_service.catalogue.marks import marked
from message_service.clock import SystemClock
from message_service.database.client import build_client, open_database
from message_service.database.store import Store
from message_service.schema.apply import apply
from message_service.schema.plan_check import check_plan
from message_service.schema.targeting import untargeted
from message_service.settings import Settings


async def main(uri: str, name: str, asked: str) -> None:
    client = build_client(Settings(min_pool_size=0), uri)
    database = open_database(client, name)
    report = await apply(database, clock=SystemClock())
    scope = Store(database).scope("default")
    query = next(query for query in QUERIES if query.name == asked)
    note = {"conversation_id": "conv_000000000001", "text": "hello"}
    await scope.insert_one(query.collection, dict(note), comment="notes.write")
    found = await scope.find(query, **query.example)
    check = await check_plan(scope, query, query.example)
    sent = {"find": query.collection, "filter": {"text": "hello"}, "comment": query.name}
    print(
        json.dumps(
            {
                "left": len(report.left),
                "collections": [collection.name for collection in CATALOGUE.collections],
                "found": [row["text"] for row in found],
                "marked_for": [path.split(".")[-2] for path in marked(SystemClock().now())],
                "as_declared": check.as_declared,
                "untargeted": untargeted("find", sent),
                "indexes": {
                    each: sorted(await database[each].index_information())
                    for each in ("notes", "messages")
                },
            }
        )
    )
    await client.close()


asyncio.run(main(*sys.argv[1:]))
