"""Which price is in force, whether a price file agrees with itself, and the library's prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from genai_prices import Usage as LibraryUsage
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.database.decimals import decimal, exact
from message_service.documents.token_usage import TokenClass as C
from message_service.usage.classes import TokenCounts
from message_service.usage.costing import cost_of
from message_service.usage.library_prices import library_prices, library_providers
from message_service.usage.money import shown
from message_service.usage.price_checks import check_prices
from message_service.usage.price_file import read_price_file
from message_service.usage.prices import PriceRow, in_force
from message_service.usage.provider_prices import ProviderPrices

JAN, FEB, MAR = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))


def row(price: str, **fields: Any) -> PriceRow:
    given = {"provider": "openai", "model": "gpt-x", "token_class": C.INPUT, "known_from": JAN}
    return PriceRow(price_id=price, unit_price=Decimal(price), **{**given, **fields})


def found(rows: list[PriceRow], moment: datetime, kind: C = C.INPUT, prompt: int = 1) -> str | None:
    prices = in_force(rows, "gpt-x", moment)
    chosen = None if prices is None else prices.row(kind, prompt)
    return None if chosen is None else chosen.price_id


def test_a_price_holds_from_its_first_moment_to_before_its_last() -> None:
    rows = [row("1", valid_to=FEB), row("2", valid_from=FEB, valid_to=MAR)]
    tick = timedelta(milliseconds=1)
    assert [found(rows, at) for at in (JAN, FEB - tick, FEB, MAR - tick, MAR)] == [
        *("1", "1", "2", "2"),
        None,
    ]


def test_what_is_known_last_counts_for_its_time_only() -> None:
    rows = [row("1"), row("2", known_from=MAR, valid_from=FEB)]
    assert (found(rows, JAN), found(rows, FEB)) == ("1", "2")


def test_what_is_known_last_replaces_all_classes() -> None:
    rows = [row("1"), row("9", token_class=C.CACHED_INPUT), row("2", known_from=FEB)]
    assert found(rows, MAR, C.CACHED_INPUT) == "2"


def test_own_prices_win_over_the_library_s_then_the_longer_pattern() -> None:
    library = {"source": "genai-prices 1", "known_from": MAR}
    rows = [row("1", **library), row("2", model="gpt-*")]
    assert found(rows, MAR) == "2"
    assert found([*rows, row("3", model="gpt-x"), row("4", model="g*")], MAR) == "3"


def test_a_newer_library_replaces_the_older_one() -> None:
    old = {"source": "genai-prices 1", "known_from": JAN}
    new = {"source": "genai-prices 2", "known_from": FEB}
    prices = ProviderPrices(
        ("openai",),
        [
            row("1", **old, pattern="gpt-x|gpt-y"),
            row("2", **new, pattern="gpt-x"),
            row("3", **new, model="gpt-y"),
        ],
    )
    for model, expected in (("gpt-x", "2"), ("gpt-y", "3")):
        rows = prices.find(model, "standard", MAR)
        assert rows is not None
        chosen = rows.row(C.INPUT, 1)
        assert chosen is not None
        assert chosen.price_id == expected
    # As known before the newer one, the older one still counts.
    before = prices.as_known_at("gpt-y", "standard", MAR, JAN)
    assert before is not None
    assert before.by_class[C.INPUT][0].price_id == "1"


def test_long_prompts_have_their_price_for_all_tokens() -> None:
    rows = [row("1"), row("2", above=200), row("3", above=1_000)]
    assert [found(rows, MAR, prompt=n) for n in (0, 200, 201, 1_000, 1_001)] == [
        *("1", "1", "2", "2", "3")
    ]


def test_a_class_without_a_price_has_that_of_its_kind() -> None:
    rows = [row("1"), row("5", token_class=C.OUTPUT)]
    assert found(rows, MAR, C.CACHE_WRITE_1H) == "1"
    assert found(rows, MAR, C.CACHED_AUDIO_INPUT) == "1"
    assert found(rows, MAR, C.REASONING) == "5"
    assert found(rows, MAR, C.WEB_SEARCH) is None


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [("01:00-04:00", (1, 0), (4, 0)), ("22:30-02:00", (1, 59), (22, 29))],
)
def test_prices_by_the_hour(hours: str, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    prices = ProviderPrices(("openai",), [row("1"), row("2", hours=hours)])
    for (hour, minute), expected in ((inside, "2"), (outside, "1"), (inside, "2")):
        rows = prices.find("gpt-x", "standard", JAN.replace(hour=hour, minute=minute))
        assert rows is not None
        chosen = rows.row(C.INPUT, 1)
        assert chosen is not None
        assert chosen.price_id == expected


_ROWS = st.lists(
    st.builds(
        lambda price, begin, length, known, above, own: row(
            f"{price}",
            valid_from=None if begin is None else JAN + timedelta(days=begin),
            valid_to=None if length is None else JAN + timedelta(days=(begin or 0) + length),
            known_from=JAN + timedelta(days=known),
            above=above,
            source="own" if own else "library",
        ),
        st.integers(1, 99),
        st.none() | st.integers(0, 20),
        st.none() | st.integers(1, 20),
        st.integers(0, 5),
        st.sampled_from([0, 100]),
        st.booleans(),
    ),
    max_size=6,
)


@given(_ROWS, st.lists(st.integers(-5, 50), min_size=1, max_size=12))
def test_remembered_prices_are_those_in_force(rows: list[PriceRow], days: list[int]) -> None:
    prices = ProviderPrices(("openai",), rows)
    for day in days:
        moment = JAN + timedelta(days=day)
        remembered, anew = prices.find("gpt-x", "standard", moment), in_force(rows, "gpt-x", moment)
        assert (remembered and remembered.by_class) == (anew and anew.by_class)


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("gpt-4o", ["gpt-4o", "GPT-4o"], ["gpt-4o-mini", "my-gpt-4o"]),
        ("gpt-4o*", ["gpt-4o", "gpt-4o-mini"], ["gpt-4"]),
        ("llama-?b", ["llama-8b"], ["llama-70b"]),
        ("a[b]*", ["a[b]c"], ["ab"]),
        ("*", ["", "x"], []),
    ],
)
def test_patterns(pattern: str, names: list[str], others: list[str]) -> None:
    mine = row("1", model=pattern)
    assert all(mine.finds(name) for name in names)
    assert not any(mine.finds(name) for name in others)


LINE = '[[price]]\nprovider = "openai"\nmodel = "gpt-x"\n'
PRICED = "input = 1\noutput = 2\n"


def checked(tmp_path: Path, text: str, name: str = "prices.toml") -> list[PriceRow]:
    path = tmp_path / name
    path.write_text(text)
    lines = read_price_file(path)
    check_prices(lines)
    return [each for _, line in lines for each in line.rows(JAN)]


def test_a_toml_file_is_read_to_the_last_digit(tmp_path: Path) -> None:
    rows = checked(
        tmp_path,
        f"""{LINE}valid_from = 2026-01-01
valid_to = 2026-02-01T12:00:00+01:00
currency = "EUR"
tier = "Default"
input = 0.100000000001
output = 10
web_search = 5

{LINE}above = 200000
valid_from = 2026-01-01
valid_to = 2026-01-15
currency = "EUR"
input = 0.2
output = 20
""",
    )
    assert [(each.token_class, each.above, each.unit_price) for each in rows] == [
        (C.INPUT, 0, Decimal("0.100000000001")),
        (C.OUTPUT, 0, Decimal(10)),
        (C.WEB_SEARCH, 0, Decimal(5)),
        (C.INPUT, 200_000, Decimal("0.2")),
        (C.OUTPUT, 200_000, Decimal(20)),
    ]
    assert {each.tier for each in rows} == {"standard"}
    assert rows[0].valid_from == JAN
    assert rows[0].valid_to == datetime(2026, 2, 1, 11, tzinfo=UTC)
    assert rows[0].currency == "EUR"


def test_a_csv_file_says_the_same(tmp_path: Path) -> None:
    rows = checked(
        tmp_path,
        "provider,model,tier,input,output,cached_input,valid_from\n"
        "Claude,claude-x*,batch,1.50,7.5,,2026-01-01\n",
        "prices.CSV",
    )
    assert [(each.provider, each.model, each.tier) for each in rows] == 2 * [
        ("anthropic", "claude-x*", "batch")
    ]
    assert [each.unit_price for each in rows] == [Decimal("1.50"), Decimal("7.5")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["file", "no price"]),
        ("input =", ["file", "not TOML"]),
        ("x = 1", ["'x'", "[[price]]"]),
        ("price = 3", ["[[price]]"]),
        ("price = [3]", ["price 1", "price"]),
        (f"{LINE}{PRICED}colour = 1", ["price 1, colour", "not a known field"]),
        (f"{LINE}input = -1\noutput = 2", ["price 1, input", "negative"]),
        (f"{LINE}input = 1e-13\noutput = 2", ["price 1, input"]),
        (f"{LINE}input = nan\noutput = 2", ["price 1, input"]),
        (f"{LINE}input = 1\noutput = true", ["price 1, output"]),
        (f"{LINE}input = 1", ["price 1, output", "no price"]),
        (f'{LINE}{PRICED}currency = "usd"', ["price 1, currency"]),
        (f'{LINE}{PRICED}valid_from = "soon"', ["price 1, valid_from", "not a date"]),
        (f"{LINE}{PRICED}valid_from = 0001-01-01", ["price 1, valid_from", "1900"]),
        (f'{LINE}{PRICED}hours = "25:00-01:00"', ["price 1, hours"]),
        (
            f"{LINE}{PRICED}valid_from = 2026-02-01\nvalid_to = 2026-01-01",
            ["price 1, valid_to", "not after"],
        ),
        (f"{LINE}{PRICED}{LINE}{PRICED}", ["price 1 (always)", "price 2 (always)", "two prices"]),
        (
            f"{LINE}{PRICED}valid_to = 2026-02-01\n"
            f"{LINE.replace('openai', 'OpenAI')}{PRICED}valid_from = 2026-01-15",
            ["price 2, valid_from", "openai/gpt-x", "2026-01-15"],
        ),
        (
            f"{LINE}{PRICED}valid_to = 2026-01-01\n{LINE}{PRICED}valid_from = 2026-02-01",
            ["no price from 2026-01-01 to 2026-02-01", "price 1", "price 2", "gap"],
        ),
        (
            f'{LINE}{PRICED}{LINE}{PRICED}tier = "batch"\ncurrency = "EUR"',
            ["price 2, currency", "USD (price 1)", "EUR (price 2)"],
        ),
        (f"{LINE}{PRICED}above = 100", ["price 1, above", "shorter prompts"]),
        (
            f"{LINE}{PRICED}valid_from = 2026-02-01\n{LINE}{PRICED}above = 100",
            ["price 2, above"],
        ),
        (
            f'{LINE}{PRICED}{LINE}{PRICED}hours = "01:00-03:00"\n'
            f'{LINE}{PRICED}hours = "02:00-04:00"',
            ["price 3, hours", "price 2"],
        ),
    ],
)
def test_a_wrong_file_is_refused_by_line(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        checked(tmp_path, text)
    for part in told:
        assert part in str(caught.value)


def test_a_currency_may_change_from_a_day_on(tmp_path: Path) -> None:
    rows = checked(
        tmp_path,
        f"{LINE}{PRICED}valid_to = 2026-02-01\n"
        f'{LINE}{PRICED}valid_from = 2026-02-01\ncurrency = "EUR"',
    )
    assert {each.currency for each in rows} == {"USD", "EUR"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"provider,model\xff"),
        ("a.csv", b"provider,model,input,output\nx,y,1,2,3\n"),
        ("a.csv", b'provider,model,input,output\n"x,y,1,2\n'),
        ("a.csv", b"provider,model,input,output\nx,y,1,\x002\n"),
        ("a.toml", b"\xff\xfe"),
        ("a.toml", b"[" * 100_000),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(errors.InvalidInput):
        check_prices(read_price_file(path))
    with pytest.raises(errors.InvalidInput, match="cannot be read"):
        read_price_file(tmp_path / "absent.toml")
    with pytest.raises(errors.InvalidInput, match="cannot be read"):
        read_price_file(tmp_path)


def test_the_library_is_understood() -> None:
    """Every model it prices by token costs the same here, in two tiers, years and sizes."""
    compared = 0
    for provider in get_snapshot().providers:
        known = library_prices(provider.id)
        prices = ProviderPrices((provider.id,), known.rows)
        for model in provider.models:
            matching = next((m for m in provider.models if m.is_match(model.id)), None)
            if matching is None or matching.id in known.left_out:
                continue
            for year, hour, inputs in ((2025, 0, 1_000), (2026, 2, 300_000)):
                moment = datetime(year, 11, 20, hour, tzinfo=UTC)
                for tier, context in (("standard", None), ("batch", {"processing": "batch"})):
                    found = prices.find(model.id, tier, moment)
                    if found is None or not {C.INPUT, C.OUTPUT} <= found.by_class.keys():
                        continue
                    usage = LibraryUsage(
                        input_tokens=inputs + 500,
                        cache_read_tokens=500,
                        output_tokens=750,
                        output_reasoning_tokens=50,
                    )
                    theirs = matching.calc_price(
                        usage, provider, genai_request_timestamp=moment, price_context=context
                    )
                    ours = cost_of(
                        TokenCounts(
                            {C.INPUT: inputs, C.CACHED_INPUT: 500, C.OUTPUT: 700, C.REASONING: 50}
                        ),
                        found,
                    )
                    assert ours is not None
                    assert ours.total == theirs.total_price, (provider.id, model.id, tier)
                    compared += 1
    assert compared > 1_000
    assert {"openai", "anthropic", "google", "deepseek"} <= set(library_providers())


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=12, allow_nan=False))
def test_amounts_are_stored_digit_for_digit(amount: Decimal) -> None:
    assert decimal(exact(amount)) == amount
    assert str(exact(amount)) == str(amount)
    assert exact(amount).bid == Decimal128(amount).bid


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "1e6112", "9" * 35])
def test_amounts_without_an_exact_form_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="exact form"):
        exact(Decimal(wrong))


def test_amounts_are_rounded_only_to_be_shown() -> None:
    assert shown(Decimal("0.0000015")) == "0.0000015"
    assert shown(Decimal("1E+3")) == "1000"
    assert shown(Decimal("1234.565"), 2) == "1,234.56"
    assert shown(Decimal("0.125"), 2) == "0.12"
    assert shown(None) == "-"
