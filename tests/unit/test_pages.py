"""Reading ahead and writing behind: nothing is lost, failures arrive, nothing goes on running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from message_service.analytics.pages import PAGE, PageWriter, pages_of, read_ahead


async def _numbers(count: int, fail: Exception | None = None) -> AsyncGenerator[int]:
    for number in range(count):
        yield number
    if fail is not None:
        raise fail


@pytest.mark.parametrize("count", [0, 1, 4, 5, 100])
async def test_reading_ahead_yields_every_item_in_order(count: int) -> None:
    assert [item async for item in read_ahead(_numbers(count))] == [*range(count)]


async def test_what_the_reading_fails_with_comes_after_the_items_before_it() -> None:
    items = read_ahead(_numbers(7, ValueError("the server is gone")))
    assert [await anext(items) for _ in range(7)] == [*range(7)]
    with pytest.raises(ValueError, match="the server is gone"):
        await anext(items)


async def test_whoever_stops_early_leaves_nothing_running() -> None:
    closed = asyncio.Event()

    async def forever() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = asyncio.all_tasks()
    async with aclosing(read_ahead(forever())) as items:
        assert await anext(items) == 1
    assert closed.is_set()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("count", [0, 1, PAGE, 3 * PAGE + 1])
async def test_every_item_is_written_once(count: int) -> None:
    written: list[int] = []

    async def write(page: list[int]) -> None:
        await asyncio.sleep(0)
        written.extend(page)

    async with PageWriter(write) as writer:
        async for item in _numbers(count):
            await writer.put(item)
    assert sorted(written) == [*range(count)]
    assert writer.count == count


@pytest.mark.parametrize("count", [PAGE, 5 * PAGE])
async def test_a_page_that_cannot_be_written_ends_the_block(count: int) -> None:
    before = asyncio.all_tasks()
    never = asyncio.Event()

    async def write(page: list[int]) -> None:
        if page[0] == 0:
            raise ValueError("refused")
        await never.wait()

    with pytest.raises(ValueError, match="refused"):
        await _put(count, PageWriter(write))
    assert asyncio.all_tasks() == before


async def test_an_error_in_the_block_is_not_hidden_and_ends_the_writing() -> None:
    before = asyncio.all_tasks()
    never = asyncio.Event()

    async def write(page: list[int]) -> None:
        assert page
        await never.wait()

    with pytest.raises(KeyError):
        await _put(PAGE + 1, PageWriter(write), KeyError())
    assert asyncio.all_tasks() == before


async def _put(count: int, writer: PageWriter[int], fail: Exception | None = None) -> None:
    async with writer:
        async for item in _numbers(count, fail):
            await writer.put(item)


async def test_pages_hold_every_item() -> None:
    pages = [page async for page in pages_of(_numbers(2 * PAGE + 3))]
    assert [len(page) for page in pages] == [PAGE, PAGE, 3]
    assert [item for page in pages for item in page] == [*range(2 * PAGE + 3)]
