"""What a transaction writes is there together, or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from message_service import MessageService, errors
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.database.client import build_client, open_database
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.documents.row import Row
from message_service.local_server.binary import find_mongod
from message_service.settings import Settings
from support.replica_sets import free_ports
from support.servers import OwnServer, mongod_that_fails_to_order
from support.waiting import ended, soon, until

USER = "user_000000000001"


async def _two(service: MessageService) -> tuple[str, str]:
    first = await service.conversations.create(USER)
    second = await service.conversations.create(USER)
    return first.conversation_id, second.conversation_id


async def _texts(service: MessageService, conversation_id: str) -> list[str]:
    return [message.text for message in await service.messages.history(conversation_id)]


async def _is_whole(service: MessageService, conversation_id: str, count: int) -> None:
    found = await service.messages.check(conversation_id)
    assert (found.complete, found.last) == (True, count)


async def test_appends_and_a_write_of_another_collection_commit_together(
    service: MessageService,
) -> None:
    first, second = await _two(service)
    scope = service.store.scope("default")

    async def work(tx: Transaction) -> list[int]:
        one = await service.messages.append(first, "user", "one", within=tx)
        two = await service.messages.append(first, "user", "two", within=tx)
        await service.messages.append_many(
            second, [{"role": "user", "text": text} for text in "abc"], within=tx
        )
        inside = scope.within(tx)
        await inside.update_one(CONVERSATION_BY_ID, {"$set": {"title": "T"}}, conversation_id=first)
        row = await inside.find_one(CONVERSATION_BY_ID, conversation_id=first)
        assert row is not None
        assert row["title"] == "T"  # its own writes are seen
        assert (await service.conversations.get(first)).title != "T"  # by nobody else
        return [one.sequence_number, two.sequence_number]

    assert await service.transaction(work) == [1, 2]
    assert await _texts(service, first) == ["one", "two"]
    assert await _texts(service, second) == ["a", "b", "c"]
    assert (await service.conversations.get(first)).title == "T"
    await service.drain()
    listed = await service.conversations.get(second)
    assert listed.last_sequence_number == 3
    assert (await service.messages.append(first, "user", "three")).sequence_number == 3


async def test_an_error_takes_everything_back(service: MessageService) -> None:
    first, second = await _two(service)
    await service.messages.append(first, "user", "before")

    class Mine(Exception):
        pass

    async def work(tx: Transaction) -> None:
        await service.messages.append(first, "user", "lost", within=tx)
        await service.messages.append(second, "user", "lost too", within=tx)
        raise Mine

    with pytest.raises(Mine):
        await service.transaction(work)
    assert await _texts(service, first) == ["before"]
    assert await _texts(service, second) == []
    assert (await service.messages.append(first, "user", "after")).sequence_number == 2
    await service.drain()
    assert (await service.conversations.get(second)).last_sequence_number == 0


async def test_a_cancelled_transaction_leaves_nothing(service: MessageService) -> None:
    first, _ = await _two(service)
    written = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await service.messages.append(first, "user", "lost", within=tx)
        written.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(service.transaction(work))
    await soon("the write", written.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon("the end of the transaction", task)
    assert (await service.messages.append(first, "user", "next")).sequence_number == 1


async def test_transactions_that_meet_are_run_again(service: MessageService) -> None:
    first, second = await _two(service)
    attempts = 0
    everybody = asyncio.Barrier(3)

    async def one(name: str) -> None:
        met = False

        async def work(tx: Transaction) -> None:
            nonlocal attempts, met
            attempts += 1
            await service.messages.append(first, "user", name, within=tx)
            if not met:
                met = True
                await asyncio.sleep(0)
            await service.messages.append(second, "user", name, within=tx)

        await everybody.wait()
        await service.transaction(work)

    await soon("three transactions", asyncio.gather(*(one(name) for name in "abc")))
    assert sorted(await _texts(service, first)) == ["a", "b", "c"]
    assert await _texts(service, first) == await _texts(service, second)
    assert attempts > 3
    await _is_whole(service, first, 3)


async def test_an_append_outside_waits_for_the_number_and_takes_the_next(
    service: MessageService,
) -> None:
    first, _ = await _two(service)
    outside: asyncio.Task[object] | None = None

    async def work(tx: Transaction) -> int:
        nonlocal outside
        inside = await service.messages.append(first, "user", "inside", within=tx)
        if outside is None:
            outside = asyncio.create_task(service.messages.append(first, "user", "outside"))
            done, _ = await asyncio.wait((outside,), timeout=0.2)
            assert not done
        return inside.sequence_number

    number = await soon("the transaction", service.transaction(work))
    assert outside is not None
    await soon("the append outside", outside)
    assert number in (1, 2)
    assert sorted(await _texts(service, first)) == ["inside", "outside"]
    await _is_whole(service, first, 2)


async def test_a_change_that_a_transaction_went_past_is_noticed_later(
    service: MessageService, mongo_uri: str
) -> None:
    """The number that announces a change lies below the transaction's own."""
    first, _ = await _two(service)
    async with await MessageService.connect(mongo_uri, settings=service.settings) as other:
        fork = await other.messages.append(first, "user", "on main")
        await service.messages.branch(first, fork.message_id, name="b")
        await service.conversations.patch(first, active_branch="b")

        async def work(tx: Transaction) -> str:
            return (await other.messages.append(first, "user", "inside", within=tx)).branch

        assert await other.transaction(work) == "b"
        assert (await other.messages.append(first, "user", "later")).branch == "b"
        await service.conversations.patch(first, state="archived")
        with pytest.raises(errors.ConversationClosed):
            await other.transaction(work)
    await _is_whole(service, first, 5)


async def test_repeated_requests_are_known_inside_too(service: MessageService) -> None:
    first, _ = await _two(service)
    before = await service.messages.append(first, "user", "hello", client_msg_id="k")

    async def again(tx: Transaction) -> tuple[bool, bool]:
        old = await service.messages.append(first, "user", "hello", client_msg_id="k", within=tx)
        assert old.message_id == before.message_id
        new = [{"role": "user", "text": "x", "client_msg_id": "n"}] * 2
        fresh, repeated = await service.messages.append_many(first, new, within=tx)
        assert not isinstance(fresh, errors.MessageServiceError)
        assert not isinstance(repeated, errors.MessageServiceError)
        return old.duplicate, repeated.duplicate

    assert await service.transaction(again) == (True, True)
    assert await _texts(service, first) == ["hello", "x"]

    async def other(tx: Transaction) -> None:
        await service.messages.append(first, "user", "lost", within=tx)
        await service.messages.append(first, "user", "other", client_msg_id="k", within=tx)

    with pytest.raises(errors.IdempotencyConflict):
        await service.transaction(other)
    assert await _texts(service, first) == ["hello", "x"]


async def test_refusals_inside_are_errors_and_nothing_stays(service: MessageService) -> None:
    first, second = await _two(service)
    known = await service.messages.append(first, "user", "hello")

    async def taken(tx: Transaction) -> None:
        await service.messages.append(second, "user", "lost", within=tx)
        await service.messages.append(first, "user", "b", message_id=known.message_id, within=tx)

    async def behind(tx: Transaction) -> None:
        await service.messages.append_many(
            first, [{"role": "user", "text": "lost"}], expected_tail=0, within=tx
        )

    async def unknown_parent(tx: Transaction) -> None:
        await service.messages.append(second, "user", "lost", within=tx)
        await service.messages.append(
            first, "user", "b", parent_message_id="msg_000000000000", within=tx
        )

    async def no_conversation(tx: Transaction) -> None:
        await service.messages.append("conv_000000000000", "user", "lost", within=tx)

    for work, error in (
        (taken, errors.AlreadyExists),
        (behind, errors.VersionConflict),
        (unknown_parent, errors.NotFound),
        (no_conversation, errors.NotFound),
    ):
        with pytest.raises(error) as refusal:
            await soon("a refused transaction", service.transaction(work))
        assert (work is taken) == ("one of these ids" in str(refusal.value))
    await service.conversations.patch(second, state="archived")

    async def archived(tx: Transaction) -> None:
        await service.messages.append(second, "user", "lost", within=tx)

    with pytest.raises(errors.ConversationClosed):
        await service.transaction(archived)
    assert await _texts(service, first) == ["hello"]


async def test_a_parent_written_in_the_same_transaction_is_known(service: MessageService) -> None:
    first, _ = await _two(service)

    async def work(tx: Transaction) -> None:
        parent = await service.messages.append(first, "user", "question", within=tx)
        await service.messages.append(
            first, "assistant", "answer", parent_message_id=parent.message_id, within=tx
        )

    await service.transaction(work)
    found = await service.messages.check(first)
    assert found.consistent


async def test_what_is_no_transaction_is_refused(service: MessageService) -> None:
    first, _ = await _two(service)
    with pytest.raises(errors.InvalidInput, match="work"):
        await service.transaction("work")  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidInput, match="within"):
        await service.messages.append(first, "user", "x", within=True)  # type: ignore[arg-type]

    async def nested(tx: Transaction) -> None:
        inside = service.store.within(tx)
        await inside.transaction(nested)

    with pytest.raises(TypeError, match="inside another"):
        await service.transaction(nested)


@pytest.fixture
async def obedient(tmp_path: Path) -> AsyncIterator[OwnServer]:
    """A server that fails when it is told to."""
    own = OwnServer(tmp_path / "server", await mongod_that_fails_to_order(tmp_path))
    await own.start()
    yield own
    await own.stop()


async def _fail(service: MessageService, mode: object, **data: object) -> None:
    await service.store.database.client.admin.command(
        "configureFailPoint", "failCommand", mode=mode, data=data
    )


async def test_what_a_server_may_do_to_a_transaction(obedient: OwnServer) -> None:
    async with await MessageService.connect(obedient.uri, write_deadline=2) as service:
        first, second = await _two(service)
        attempts = 0

        async def work(tx: Transaction) -> None:
            nonlocal attempts
            attempts += 1
            await service.messages.append(first, "user", "hello", within=tx)
            await service.messages.append(second, "user", "hello", within=tx)

        async def both() -> list[list[str]]:
            return [await _texts(service, each) for each in (first, second)]

        # The commit is done, and its answer lost: it is asked for again, the work is not.
        await _fail(service, {"times": 2}, failCommands=["commitTransaction"], closeConnection=True)
        await soon("a commit without an answer", service.transaction(work))
        assert attempts == 1
        assert await both() == [["hello"]] * 2

        # A write met another: the work is run again.
        attempts = 0
        labels = ["TransientTransactionError"]
        await _fail(
            service, {"times": 2}, failCommands=["insert"], errorCode=112, errorLabels=labels
        )
        await soon("a write conflict", service.transaction(work))
        assert attempts == 3
        assert await both() == [["hello"] * 2] * 2

        # It never ends: nothing is written, and the caller is told so.
        await _fail(service, "alwaysOn", failCommands=["insert"], errorCode=112, errorLabels=labels)
        with pytest.raises(errors.Unavailable, match="nothing was written") as ended_by:
            await soon("conflicts until the deadline", service.transaction(work))
        assert not isinstance(ended_by.value, errors.OutcomeUnknown)
        await _fail(service, "off")
        assert await both() == [["hello"] * 2] * 2

        # No commit is ever answered: nobody knows.
        await _fail(
            service,
            "alwaysOn",
            failCommands=["commitTransaction"],
            errorCode=64,
            errorLabels=["UnknownTransactionCommitResult"],
        )
        with pytest.raises(errors.OutcomeUnknown):
            await soon("a commit that is never answered", service.transaction(work))
        await _fail(service, "off")
        one, two = await both()
        assert one == two


async def test_a_server_without_transactions_says_so_and_what_to_do(tmp_path: Path) -> None:
    mongod = await find_mongod(None)
    [port] = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        str(mongod.path),
        *("--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", "127.0.0.1"),
        *("--nounixsocket", "--logpath", str(tmp_path / "log")),
    )
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    client: AsyncMongoClient[Row] = build_client(Settings(min_pool_size=0), uri)

    async def answers() -> bool:
        return bool(await client.admin.command("ping"))

    try:
        await until("the server to answer", answers)
        store = Store(open_database(client, "chat"))

        async def work(tx: Transaction) -> None:
            await store.within(tx).insert(
                "notes", [{"tenant_id": "t", "conversation_id": "c"}], ordered=True, comment="x"
            )

        with pytest.raises(errors.Unsupported, match=r"replica set.*work due"):
            await soon("a refused transaction", store.transaction(work))
        assert await store.database["notes"].count_documents({}) == 0
    finally:
        await client.close()
        process.kill()
        await ended(process, "a mongod")


async def test_work_that_goes_on_after_a_refused_write_fails_at_once(
    service: MessageService,
) -> None:
    first, second = await _two(service)
    known = await service.messages.append(first, "user", "hello")

    async def goes_on(tx: Transaction, *, write: bool) -> None:
        with contextlib.suppress(errors.AlreadyExists):
            await service.messages.append(
                first, "user", "b", message_id=known.message_id, within=tx
            )
        if write:  # the server has given the transaction up
            await service.messages.append(second, "user", "lost", within=tx)

    for write in (True, False):
        with pytest.raises(errors.AlreadyExists):
            await soon(
                "a transaction", service.transaction(partial(goes_on, write=write)), seconds=5
            )
    assert await _texts(service, first) == ["hello"]
    assert await _texts(service, second) == []
