"""Reading a provider's usage export: CSV or JSON, recognised by its columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from message_service import errors
from message_service.catalogue.discovery import declared_in
from message_service.usage.files import csv_lines, text_of
from message_service.usage.reconciling import exports
from message_service.usage.reconciling.export import Export, ExportShape, Told

SHAPES: tuple[ExportShape, ...] = tuple(declared_in(exports, ExportShape))
"""Every known shape."""

_MOST_BYTES = 64 * 2**20
_MOST_DIGITS = 15
_WHOLE = re.compile(rf"([0-9]{{1,{_MOST_DIGITS}}})(?:\.0*)?")
_SECONDS = re.compile(r"[0-9]{9,11}(?:\.0*)?")
_DAY = timedelta(days=1)

_Line = tuple[str, Mapping[str, Any]]
"""Where a line stands, and its values."""


def read_export(path: Path, ignored: Iterable[str] = ()) -> Export:
    """Return what an export tells, by UTC day and model.

    Args:
        path: The file.
        ignored: Columns that are unknown and not wanted.

    Raises:
        InvalidInput: It cannot be read, is of no known shape, has unknown columns, or a line is
            wrong; the error names the line.
    """
    text = text_of(path, _MOST_BYTES)
    lines = _json_lines(text) if text.lstrip()[:1] in ("{", "[") else csv_lines(text)
    if not lines:
        raise errors.InvalidInput("file", "has no lines", "Export a period with usage")
    columns = dict.fromkeys(name for _, values in lines for name in values)
    shape = _shape(columns)
    unknown = [name for name in columns if name not in shape.columns and name not in {*ignored}]
    if unknown:
        raise errors.InvalidInput(
            "file",
            f"has columns that {shape.name} does not have: {', '.join(map(_short, unknown[:5]))}",
            "What they count would not be compared; if that is right, name them by ignore",
        )
    told: dict[tuple[date, str], Told] = {}
    days: list[date] = []
    for place, values in lines:
        day = _day(shape, place, values)
        days.append(day)
        figures = {
            name: _count(f"{place}, {name}", values[name])
            for name in shape.figures
            if values.get(name) is not None
        }
        model = values.get(shape.model)
        if model is None or model == "":
            if any(figures.values()):
                raise errors.InvalidInput(
                    f"{place}, {shape.model}", "is missing", "Export the usage grouped by model"
                )
            continue  # a day without any usage
        requests = None if shape.requests is None else figures.get(shape.requests)
        told.setdefault((day, str(model).strip().lower()), Told()).add(
            shape.measures(figures), requests
        )
    return Export(shape, min(days), max(days) + _DAY, told)


def _shape(columns: Iterable[str]) -> ExportShape:
    found = set(columns)
    # Days without any usage have nothing but their times.
    fitting = [
        shape
        for shape in SHAPES
        if (shape.needed <= found or found <= {*shape.begin, *shape.end})
        and any(name in found for name in shape.begin)
    ]
    if not fitting:
        raise errors.InvalidInput(
            "file",
            "is no usage export we know",
            f"Give one of: {', '.join(sorted(shape.name for shape in SHAPES))}; "
            "costs by line item are none",
        )
    return max(fitting, key=lambda shape: len(shape.columns & found))


def _day(shape: ExportShape, place: str, values: Mapping[str, Any]) -> date:
    """Return the day of UTC a line is about."""
    begin = _moment(place, shape.begin, values)
    if begin is None:
        raise errors.InvalidInput(f"{place}, {shape.begin[0]}", "is missing", "Export it again")
    end = _moment(place, shape.end, values)
    if end is not None and end > begin.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY:
        raise errors.InvalidInput(
            f"{place}, {shape.end[0]}", "is not on the day of its beginning", "Export it by day"
        )
    return begin.date()


def _moment(place: str, names: Sequence[str], values: Mapping[str, Any]) -> datetime | None:
    for name in names:
        value = values.get(name)
        if value is None or value == "":
            continue
        text = str(value)[:40].strip()
        try:
            if _SECONDS.fullmatch(text):
                return datetime.fromtimestamp(int(float(text)), UTC)
            found = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise errors.InvalidInput(
                f"{place}, {name}", f"{text!r} is no date", "Export it again"
            ) from None
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _count(place: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS:
        return value
    found = None if isinstance(value, bool) else _WHOLE.fullmatch(str(value)[:40].strip())
    if found is None:
        raise errors.InvalidInput(place, f"{_short(value)} is no count", "Export it again")
    return int(found[1])


def _short(value: object) -> str:
    return repr(str(value)[:40])


def _json_lines(text: str) -> list[_Line]:
    """Return the results of the pages of an API, each with the times of its bucket."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.InvalidInput("file", "is not JSON", "Export it again") from None
    pages = cast("list[object]", found) if isinstance(found, list) else [found]
    buckets: list[object] = []
    more = False
    for page in pages:
        data = _member(page, "data")
        buckets += cast("list[object]", data) if isinstance(data, list) else [page]
        more = bool(_member(page, "has_more"))
    if more:
        raise errors.InvalidInput(
            "file", "lacks the pages after the last one", "Put all pages into one JSON list"
        )
    return [
        line
        for number, bucket in enumerate(buckets, start=1)
        for line in _of_bucket(f"bucket {number}", bucket)
    ]


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _of_bucket(place: str, bucket: object) -> Iterator[_Line]:
    results = _member(bucket, "results")
    if not isinstance(bucket, dict) or not isinstance(results, list):
        raise errors.InvalidInput(
            place, "is no bucket with results", "Save the answer of the usage API as it came"
        )
    known = cast("dict[str, Any]", bucket)
    times = {name: value for name, value in known.items() if name not in ("results", "object")}
    if not results:
        yield place, times
    for number, result in enumerate(cast("list[object]", results), start=1):
        where = f"{place}, result {number}"
        if not isinstance(result, dict):
            raise errors.InvalidInput(where, "is no object", "Export it again")
        yield where, {**dict(_flat(cast("dict[str, Any]", result))), **times}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested objects, named by their path."""
    for name, value in values.items():
        if isinstance(value, dict) and not before:
            yield from _flat(cast("dict[str, Any]", value), f"{name}.")
        else:
            yield f"{before}{name}", value
