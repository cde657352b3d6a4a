"""Sharding as declared: prints the commands, and runs them on a mongos."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Collection, Index, Keys
from message_service.database.commands import run_command, unhurried
from message_service.documents.row import Row
from message_service.schema import shard_rules
from message_service.schema.index_forms import declared_form, shown
from message_service.schema.live import is_sharded, live


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The result of `db shard`.

    Attributes:
        shell: The commands as typed into mongosh.
        commands: The same as commands to the `admin` database.
        sharded: Collections sharded now.
        already: Collections that were sharded as declared before.
        refusal: Why no command was run; None when they were.
    """

    shell: tuple[str, ...]
    commands: tuple[dict[str, Any], ...]
    sharded: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "shell": list(self.shell),
            "commands": list(self.commands),
            "sharded": list(self.sharded),
            "already": list(self.already),
            "refusal": self.refusal,
        }


def admin_commands(catalogue: Catalogue, database: str) -> list[dict[str, Any]]:
    """Return a `shardCollection` command for each collection that has a shard key.

    Raises:
        IllegalManifest: The catalogue breaks a rule of `shard_rules`.
    """
    shard_rules.check(catalogue)
    return [
        {"shardCollection": f"{database}.{collection.name}", "key": dict(collection.shard_key)}
        for collection in catalogue.collections
        if collection.shard_key is not None
    ]


def shell_lines(catalogue: Catalogue, database: str) -> list[str]:
    """Return the commands for mongosh."""
    return [
        f"sh.shardCollection({json.dumps(command['shardCollection'])}, "
        f"{json.dumps(command['key'])})"
        for command in admin_commands(catalogue, database)
    ]


async def shard(database: AsyncDatabase[Row], catalogue: Catalogue = CATALOGUE) -> ShardReport:
    """Shard the collections with a shard key, if the server is a mongos. Idempotent.

    Raises:
        IllegalManifest: The catalogue breaks a rule of `shard_rules`.
        CatalogueError: An index that supports a shard key is missing, or a collection is sharded
            by another key. Then nothing was sharded.
        MessageServiceError: The cluster refuses, or does not answer.
    """
    commands = tuple(admin_commands(catalogue, database.name))
    shell = tuple(shell_lines(catalogue, database.name))
    if not await is_sharded(database):
        return ShardReport(
            shell,
            commands,
            refusal="This server is not a mongos, so there are no shards to distribute to; "
            "run the commands on a sharded cluster, after `db apply` there.",
        )
    found = await live(database)
    to_shard: list[Collection] = []
    already: list[str] = []
    for collection in catalogue.collections:
        if collection.shard_key is None:
            continue
        existing = found.collections.get(collection.name)
        support = supporting_index(collection, collection.shard_key)
        if existing is None or declared_form(support) not in existing.indexes:
            # Otherwise the server builds that index under a name of its own, which then prevents
            # the declared index from being built.
            raise errors.CatalogueError(
                f"{collection.name}: the index {support.name} is missing; run `db apply` first"
            )
        if existing.shard_key is None:
            to_shard.append(collection)
        elif existing.shard_key == collection.shard_key:
            already.append(collection.name)
        else:
            raise errors.CatalogueError(
                f"{collection.name} is sharded by {shown(existing.shard_key)}, not "
                f"{shown(collection.shard_key)}; see reshardCollection in MongoDB's manual"
            )
    chosen = {f"{database.name}.{collection.name}" for collection in to_shard}
    for command in commands:
        if command["shardCollection"] in chosen:
            with unhurried():
                await run_command(database.client.admin, command)
    return ShardReport(
        shell, commands, tuple(collection.name for collection in to_shard), tuple(already)
    )


def supporting_index(collection: Collection, shard_key: Keys) -> Index:
    """Return the declared index the cluster finds chunks by.

    Raises:
        IllegalManifest: There is none.
    """
    for index in collection.indexes:
        if shard_rules.supports(index, shard_key):
            return index
    raise errors.IllegalManifest(
        f"{collection.name}: no index supports the shard key", collection=collection.name
    )
