"""A tenant's own price file, TOML or CSV: read and checked as a whole before anything is taken.

    [[price]]
    provider = "openai"
    model = "gpt-4o*"          # * and ? stand for any text and any character
    valid_from = 2026-01-01
    input = 2.50               # per million tokens
    cached_input = 1.25
    output = 10
    web_search = 10            # per thousand

A CSV file has the same names in its first line, and a price per line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from message_service import errors
from message_service.clock import why_not_storable
from message_service.documents.token_usage import CURRENCY, TokenClass
from message_service.documents.validation import checked
from message_service.usage.files import csv_lines, text_of
from message_service.usage.prices import PriceRow
from message_service.usage.tiers import STANDARD, provider_of, tier_of

MOST_LINES = 20_000
_MOST_BYTES = 20_000_000


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("is not a date such as 2026-01-31") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        problem = why_not_storable(moment)
        if problem is not None:
            raise ValueError(problem[0])
        return moment.astimezone(UTC)
    return value


def _number(value: object) -> object:
    if isinstance(value, (bool, float)):  # a float would bring its binary digits along
        raise ValueError("is not a number")
    return value


Amount = Annotated[Decimal, BeforeValidator(_number), Field(ge=0, max_digits=18, decimal_places=12)]
When = Annotated[datetime | None, BeforeValidator(_moment)]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
_HOUR = r"([01]\d|2[0-3]):[0-5]\d"


class PriceLine(BaseModel):
    """The prices of a model (or pattern of models) over a time."""

    model_config = ConfigDict(extra="forbid")

    provider: _Word
    model: _Word
    tier: _Word = STANDARD
    above: Annotated[int, Field(ge=0, le=10**9)] = 0
    currency: Annotated[str, StringConstraints(pattern=rf"^{CURRENCY}$")] = "USD"
    valid_from: When = None
    valid_to: When = None
    hours: Annotated[str, StringConstraints(pattern=rf"^{_HOUR}-{_HOUR}$")] | None = None
    input: Amount | None = None
    cached_input: Amount | None = None
    cache_write_5m: Amount | None = None
    cache_write_1h: Amount | None = None
    audio_input: Amount | None = None
    cached_audio_input: Amount | None = None
    image_input: Amount | None = None
    output: Amount | None = None
    reasoning: Amount | None = None
    audio_output: Amount | None = None
    image_output: Amount | None = None
    web_search: Amount | None = None

    def rows(self, known_from: datetime) -> list[PriceRow]:
        """Return a row for each class that has a price."""
        return [
            PriceRow(
                price_id="",
                provider=provider_of(self.provider) or self.provider,
                model=self.model.lower(),
                token_class=kind,
                tier=tier_of(self.tier) or STANDARD,
                above=self.above,
                unit_price=price,
                currency=self.currency,
                valid_from=self.valid_from,
                valid_to=self.valid_to,
                hours=self.hours,
                known_from=known_from,
            )
            for kind in TokenClass
            if (price := getattr(self, kind.value)) is not None
        ]


def read_price_file(path: Path) -> list[tuple[str, PriceLine]]:
    """Return the lines of a price file, each with its place for errors.

    Raises:
        InvalidInput: The file cannot be read, or a line is wrong; the error names line and field.
    """
    lines: list[tuple[str, PriceLine]] = []
    for place, values in _lines(path):
        try:
            line = checked(PriceLine, values)
        except errors.InvalidInput as error:
            raise errors.InvalidInput(f"{place}, {error.field}", error.problem, error.fix) from None
        if line.valid_from and line.valid_to and line.valid_to <= line.valid_from:
            raise errors.InvalidInput(
                f"{place}, valid_to", "is not after valid_from", "Swap the two dates"
            )
        lines.append((place, line))
    if not lines:
        raise errors.InvalidInput("file", "has no price", "Give at least one")
    if len(lines) > MOST_LINES:
        raise errors.InvalidInput("file", "has too many prices", f"Use at most {MOST_LINES:,}")
    return lines


def _lines(path: Path) -> Sequence[tuple[str, Mapping[str, Any]]]:
    text = text_of(path, _MOST_BYTES)
    return csv_lines(text) if path.suffix.lower() == ".csv" else _toml(text)


def _toml(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        # Decimal from the text: as floats, prices would have binary digits.
        found = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise errors.InvalidInput(
            "file", f"is not TOML ({error})", "Correct it, or name a CSV file *.csv"
        ) from None
    prices: object = found.pop("price", [])
    if found or not isinstance(prices, list):
        raise errors.InvalidInput(
            "file",
            f"has something else than prices ({next(iter(found), 'price')!r})",
            "Write each price as a table [[price]]",
        )
    return [
        (f"price {number}", values if isinstance(values, Mapping) else {"price": values})
        for number, values in enumerate(cast("list[Any]", prices), start=1)
    ]
