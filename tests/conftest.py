"""One real mongod for the whole run, an empty database for each test.

The run cannot hang (`support.hanging`), leaves no process behind (`support.leftovers`) and ends
when the disk is full or its mongod gone (`support.machine`).

A listener watches every command the tests' services send; the run fails when one would go to every
shard of a cluster without being declared to.
"""

from __future__ import annotations

import gc
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from message_service import MessageService
from message_service.clock import SystemClock
from message_service.database.client import build_client, open_database
from message_service.documents.row import Row
from message_service.ids import IdFactory, IdKind
from message_service.local_server.manager import LocalServer, LocalServerManager
from message_service.schema.targeting import untargeted
from message_service.settings import Settings
from support.databases import PreparedDatabases
from support.hanging import give_fault_tests_longer, pytest_timeout_set_timer
from support.left_connections import forgive_the_driver
from support.leftovers import Watcher
from support.machine import require_alive, require_room
from support.preloaded import PRELOADED

__all__ = ["pytest_timeout_set_timer"]

# No timed assertions: how fast the machine is at the moment proves nothing.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=40,  # other ones in each run
)
hypothesis.settings.load_profile("patient")

forgive_the_driver()

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


class TargetingListener(CommandListener):
    """Collects commands that break the targeting rule."""

    def __init__(self) -> None:
        self.seen = 0
        self.broken: set[str] = set()

    def started(self, event: CommandStartedEvent) -> None:
        self.seen += 1
        problem = untargeted(event.command_name, event.command)
        if problem is not None:
            self.broken.add(problem)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


TARGETING = TargetingListener()


WATCHER = pytest.StashKey[Watcher]()
LEFT_BEHIND = pytest.StashKey[list[str]]()


def pytest_sessionstart() -> None:
    require_room()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCHER] = Watcher()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    give_fault_tests_longer(items)


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported by now stays: no use in looking for garbage in it


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tell whoever bounds the whole run where it stands."""
    path = os.environ.get("CURRENT_TEST_FILE")
    if path is not None:
        Path(path).write_text(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    PRELOADED.stop()
    left = session.config.stash[LEFT_BEHIND] = session.config.stash[WATCHER].finish()
    if TARGETING.broken or left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"targeting: {TARGETING.seen} commands watched")
    for problem in sorted(TARGETING.broken):
        terminalreporter.write_line(f"UNTARGETED: {problem}", red=True)
    for process in terminalreporter.config.stash[LEFT_BEHIND]:
        terminalreporter.write_line(f"LEFT BEHIND, and killed: {process}", red=True)


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalServer]:
    manager = LocalServerManager(tmp_path_factory.mktemp("mongod"), None)
    yield await manager.start()
    await manager.stop()


@pytest.fixture(scope="session")
def mongo_uri(server: LocalServer) -> str:
    return server.uri


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(min_pool_size=0, conversation_staleness=0)


@pytest.fixture(scope="session")
async def client(mongo_uri: str, settings: Settings) -> AsyncIterator[AsyncMongoClient[Row]]:
    # A test that waits for a process stops this loop; a monitor that streams would take the silence
    # for a dead server when the loop goes on, and cancel whatever is under way.
    quiet = "serverMonitoringMode=poll&heartbeatFrequencyMS=3600000"
    client = build_client(settings, f"{mongo_uri}&{quiet}")
    yield client
    await client.close()


@pytest.fixture(scope="session")
async def prepared_databases(
    client: AsyncMongoClient[Row], mongo_uri: str, settings: Settings
) -> PreparedDatabases:
    return PreparedDatabases(client, mongo_uri, settings)


@pytest.fixture
async def database(
    request: pytest.FixtureRequest,
    server: LocalServer,
    client: AsyncMongoClient[Row],
    prepared_databases: PreparedDatabases,
) -> AsyncIterator[AsyncDatabase[Row]]:
    """An empty database: with the catalogue where `service` is asked for, else without."""
    require_alive(server)
    if "service" in request.fixturenames:
        database = await prepared_databases.take()
        yield database
        await prepared_databases.give_back(database)
    else:
        database = open_database(client, f"test_{secrets.token_hex(6)}")
        yield database
        await client.drop_database(database.name)


@pytest.fixture
async def service(
    mongo_uri: str, settings: Settings, database: AsyncDatabase[Row]
) -> AsyncIterator[MessageService]:
    """A service on an empty database, watched by the targeting listener."""
    async with await MessageService.connect(
        mongo_uri, settings=settings, listeners=[TARGETING], database=database.name
    ) as service:
        yield service


@pytest.fixture
def new_id() -> Callable[[IdKind], str]:
    return IdFactory(SystemClock()).new


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for the first files and no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared conversation data is not beside this checkout")
    return SHARED_DATA
