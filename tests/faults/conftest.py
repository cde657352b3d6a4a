"""Servers that fault tests may kill and freeze."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.replica_sets import ReplicaSet
from support.servers import OwnServer


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnServer]:
    own = OwnServer(tmp_path / "s")
    await own.start()
    yield own
    await own.stop()


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    replica_set = ReplicaSet(tmp_path)
    try:
        await replica_set.start()
        yield replica_set
    finally:
        await replica_set.stop()
