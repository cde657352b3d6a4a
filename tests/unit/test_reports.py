"""Files and charts of reports, and local time: what they hold, read back by others."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from message_service import errors
from message_service.reports.charts import Point, draw, kind_of_chart
from message_service.reports.columns import Column, Kind, Line
from message_service.reports.formats import FORMATS
from message_service.reports.zones import offsets, zone_of

COLUMNS = [
    Column("day", Kind.DATE),
    Column("model", Kind.TEXT),
    Column("tokens", Kind.COUNT),
    Column("cost", Kind.MONEY),
]
LINES: list[Line] = [
    (date(2026, 1, 31), 'say "hi",\nthere', 2**53 + 1, Decimal("0.000000000000000001")),
    (None, None, 0, None),
    (date(1, 1, 1), "模型 =1+1", 5, Decimal("1E+3")),
]


async def each(lines: Sequence[Line]) -> AsyncIterator[Line]:
    for line in lines:
        yield line


async def file_of(name: str, lines: Sequence[Line] = LINES) -> bytes:
    return b"".join([piece async for piece in FORMATS[name](COLUMNS, each(lines))])


async def test_csv_reads_back() -> None:
    text = (await file_of("csv")).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["day", "model", "tokens", "cost"],
        ["2026-01-31", 'say "hi",\nthere', "9007199254740993", "0.000000000000000001"],
        ["", "", "0", ""],
        ["0001-01-01", "模型 =1+1", "5", "1000"],
    ]


async def test_json_reads_back() -> None:
    assert json.loads(await file_of("json")) == [
        {
            "day": "2026-01-31",
            "model": 'say "hi",\nthere',
            "tokens": 2**53 + 1,
            "cost": "0.000000000000000001",
        },
        {"day": None, "model": None, "tokens": 0, "cost": None},
        {"day": "0001-01-01", "model": "模型 =1+1", "tokens": 5, "cost": "1000"},
    ]
    assert json.loads(await file_of("json", [])) == []


async def test_parquet_reads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("message_service.reports.formats._GROUP", 2)
    file = pq.ParquetFile(io.BytesIO(await file_of("parquet")))
    assert file.num_row_groups == 2
    found = [tuple(row[column.name] for column in COLUMNS) for row in file.read().to_pylist()]
    assert found == LINES
    empty = pq.read_table(io.BytesIO(await file_of("parquet", [])))
    assert (empty.num_rows, empty.column_names) == (0, [column.name for column in COLUMNS])


@pytest.mark.parametrize("amount", ["1e-19", "100000000000000000000"])
async def test_parquet_cuts_no_amount(amount: str) -> None:
    with pytest.raises(errors.InvalidInput, match="Use csv or json"):
        await file_of("parquet", [(None, None, 0, Decimal(amount))])


@pytest.mark.parametrize(
    ("kind", "beginning"), [("png", b"\x89PNG"), ("svg", b"<?xml")], ids=["png", "svg"]
)
@pytest.mark.parametrize("in_time", [True, False])
def test_charts_draw_any_names(kind: str, beginning: bytes, in_time: bool) -> None:
    points = [
        Point(
            date(2026, 1, 1) + timedelta(days=7 * number) if in_time else f"${number}_{{",
            f"$\\frac {number % 12}" if number % 3 else "_hidden",
            Decimal(number),
        )
        for number in range(1, 40)
    ]
    title = "$x^ tokens"
    data = draw(points, kind, title=title, unit="tokens")
    assert data.startswith(beginning)
    assert data == draw(points, kind, title=title, unit="tokens")


def test_a_level_chart_says_what_it_leaves_out() -> None:
    points = [Point(f"user{number:02}", "", Decimal(number)) for number in range(1, 31)]
    with_text = {"svg.fonttype": "none"}
    import matplotlib

    with matplotlib.rc_context(with_text):  # pyright: ignore
        text = draw(points, "svg", title="cost", unit="USD").decode()
    assert "cost (25 largest of 30)" in text
    assert ("user30" in text, "user06" in text, "user05" in text) == (True, True, False)


def test_the_ending_of_a_chart(tmp_path: Any) -> None:
    assert kind_of_chart(tmp_path / "a.PNG") == "png"
    with pytest.raises(errors.InvalidInput, match=r"\.svg"):
        kind_of_chart(tmp_path / "a.pdf")


moments = st.integers(-631_152_000, 2_051_222_400).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@given(
    st.sampled_from(sorted(available_timezones())),
    moments,
    st.integers(1, 800 * 86_400_000),
    st.lists(st.floats(0, 1, exclude_max=True), max_size=20),
)
@example("Africa/Cairo", datetime(2026, 4, 1, tzinfo=UTC), 300 * 86_400_000, [0.5])
def test_offsets_are_those_of_the_zone(
    name: str, since: datetime, length: int, shares: list[float]
) -> None:
    zone, until = ZoneInfo(name), since + timedelta(milliseconds=length)
    found = list(offsets(zone, since, until))
    ends = [end for end, _ in found]
    assert ends == sorted(set(ends))
    assert ends[-1] == until
    edges = [end + step for end in ends for step in (timedelta(), -timedelta(milliseconds=1))]
    for moment in [since, *edges, *(since + share * (until - since) for share in shares)]:
        if since <= moment < until:
            offset = next(offset for end, offset in found if moment < end)
            assert moment.astimezone(zone).utcoffset() == offset


@pytest.mark.parametrize(
    "name", ["", "Europe/Berln", "../../etc/passwd", "a\0b", None, 5, "x" * 999]
)
def test_unknown_zones(name: Any) -> None:
    with pytest.raises(errors.InvalidInput, match="time_zone") as caught:
        zone_of(name)
    if name == "Europe/Berln":
        assert "Europe/Berlin" in str(caught.value)
