"""Reads the moments in exports of chat programs, which changed their notation over time."""

from __future__ import annotations

import re
from datetime import datetime

from message_service.interchange.reading import moments
from message_service.interchange.reading.json_reading import as_number, as_object

_FIRST_MILLISECONDS = 1e11
"""The year 5138 in seconds, 1973 in milliseconds: larger numbers are milliseconds."""

_FIRST_MICROSECONDS = 1e14

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        start=1,
    )
}
_SPOKEN = re.compile(
    r"([A-Za-z]{3,9})\.? (\d{1,2}), (\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2}))? ?(\w*)"
)
_JOINED = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2}) ?@ ?(\d{1,2})h ?(\d{1,2})m ?(\d{1,2})s(?: ?(\d{1,3})ms)?"
)


def from_any(value: object) -> datetime | None:
    """Return a moment in any of the notations in use; None when it is in none of them.

    These are Unix seconds, milliseconds and microseconds (numbers, or texts of digits), ISO 8601,
    MongoDB's `$date`, and SillyTavern's `June 19, 2023 2:20pm` and `2024-7-12@01h31m37s123ms`. A
    moment without a time zone counts as UTC.
    """
    holder = as_object(value)
    if holder is not None:
        value = holder.get("$date")
        value = (as_object(value) or {}).get("$numberLong", value)
    if isinstance(value, str):
        value = value.strip()
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            return moments.from_iso(value) or _spoken(value) or _joined(value)
        value = int(value)
    number = as_number(value)
    if number is None:
        return None
    if abs(number) >= _FIRST_MICROSECONDS:
        return moments.from_unix(number / 1e6)
    return moments.from_unix(number / 1e3 if abs(number) >= _FIRST_MILLISECONDS else number)


def iso(value: object) -> str | None:
    """Return a moment in any of the notations in use as ISO 8601."""
    moment = from_any(value)
    return moment.isoformat() if moment is not None else None


def _spoken(text: str) -> datetime | None:
    found = _SPOKEN.fullmatch(text)
    if found is None:
        return None
    month, hour = _MONTHS.get(found[1][:3].lower(), 0), int(found[4])
    half = found[7].lower()
    if half in ("am", "pm"):
        hour = hour % 12 + (12 if half == "pm" else 0)
    return _moment(found[3], month, found[2], hour, found[5], found[6] or 0, 0)


def _joined(text: str) -> datetime | None:
    found = _JOINED.fullmatch(text)
    return _moment(*found.groups("0")) if found is not None else None


def _moment(*fields: str | int) -> datetime | None:
    year, month, day, hour, minute, second, millisecond = map(int, fields)
    date = f"{year:04}-{month:02}-{day:02}"
    return moments.from_iso(f"{date}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}")
