"""Files made of reports: CSV, JSON, Parquet. All are written as the lines come."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from message_service import errors
from message_service.reports.columns import Column, Kind, Line

Pieces = AsyncIterator[bytes]
Format = Callable[[Sequence[Column], AsyncIterator[Line]], Pieces]
"""Makes the bytes of a file of columns and lines."""

_GROUP = 50_000
"""Lines of a Parquet file that are held in memory, and written as one row group."""

_DECIMALS = 18
"""Decimal places of an amount in Parquet files: 38 digits in all, as most readers can take."""


async def csv_pieces(columns: Sequence[Column], lines: AsyncIterator[Line]) -> Pieces:
    """Yield a CSV file (RFC 4180, UTF-8); what there is none of is empty."""
    yield _csv_line([column.name for column in columns])
    async for line in lines:
        yield _csv_line([_plain(value) for value in line])


async def json_pieces(columns: Sequence[Column], lines: AsyncIterator[Line]) -> Pieces:
    """Yield a JSON array with an object for each line; amounts are strings, so that none is cut."""
    names = [column.name for column in columns]
    opening = b"[\n"
    async for line in lines:
        values = dict(zip(names, map(_json_value, line), strict=True))
        yield opening + json.dumps(values, ensure_ascii=False).encode()
        opening = b",\n"
    yield b"[]\n" if opening == b"[\n" else b"\n]\n"


def parquet_pieces(columns: Sequence[Column], lines: AsyncIterator[Line]) -> Pieces:
    """Yield a Parquet file; amounts are decimals with 18 places.

    Raises:
        InvalidInput: pyarrow is not installed, or, while it is made, an amount has more than 18
            decimal places, or more than 20 before them.
    """
    pa, pq = of_extra("format", "pyarrow"), of_extra("format", "pyarrow.parquet")
    return _parquet(pa, pq, columns, lines)


def of_extra(field: str, module: str) -> Any:
    """Return a module of a package of the extra `reports`.

    Raises:
        InvalidInput: It is not installed; the error names the field that asks for it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise errors.InvalidInput(
            field, f"needs {package}", "Install message-service[reports]"
        ) from None


async def _parquet(
    pa: Any, pq: Any, columns: Sequence[Column], lines: AsyncIterator[Line]
) -> Pieces:
    types = {
        Kind.TEXT: pa.string(),
        Kind.DATE: pa.date32(),
        Kind.COUNT: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.MONEY: pa.decimal128(38, _DECIMALS),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    sink = _Sink()
    writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema)
    group: list[Line] = []

    def written() -> bytes:
        values = zip(*group, strict=True) if group else ((),) * len(columns)
        try:
            arrays = [
                pa.array(column, each.type) for column, each in zip(values, schema, strict=True)
            ]
        except pa.ArrowInvalid:
            raise errors.InvalidInput(
                "format",
                f"cannot hold an amount with more than {_DECIMALS} decimal places",
                "Use csv or json",
            ) from None
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        group.clear()
        return sink.take()

    async for line in lines:
        group.append(line)
        if len(group) >= _GROUP:
            yield written()
    yield written()
    writer.close()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Takes what is written, to be fetched piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


FORMATS: Mapping[str, Format] = {
    "csv": csv_pieces,
    "json": json_pieces,
    "parquet": parquet_pieces,
}
"""Every format of a file, by name."""


def _csv_line(values: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().encode()


def _plain(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, Decimal):
        return str(value)
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _json_value(value: object) -> object:
    return _plain(value) if isinstance(value, (Decimal, date)) else value
