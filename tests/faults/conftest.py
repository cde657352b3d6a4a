"""Servers that fault tests may kill and freeze."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.servers import OwnServer


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnServer]:
    own = OwnServer(tmp_path / "s")
    await own.start()
    yield own
    await own.remove()
