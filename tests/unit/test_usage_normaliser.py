"""Usage blocks of all providers mean the same thing, and cost what they cost to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.documents.token_usage import TokenClass, TokenClasses, UsageState
from message_service.usage.classes import INSTEAD, NO_TOKENS, PROMPT, UNKNOWN
from message_service.usage.costing import cost_of
from message_service.usage.normaliser import SHAPES, normalise
from message_service.usage.prices import ModelPrices, PriceRow, in_force
from message_service.usage.tiers import provider_of, tier_of
from support.usage_blocks import EXAMPLES, LONG_CONTEXT, PRICES, Example

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def prices(provider: str, model: str, tier: str) -> ModelPrices | None:
    key = f"{provider}/{model}/{tier}"
    if key not in PRICES:
        model = "*"
        key = f"{provider}/*/{tier}"
    above, long = LONG_CONTEXT.get(key, (0, {}))
    return in_force(
        [
            PriceRow(
                price_id=f"{name}-{start}",
                provider=provider,
                model=model,
                token_class=TokenClass(name),
                unit_price=Decimal(price),
                known_from=NOW,
                tier=tier,
                above=start,
            )
            for start, rates in ((0, PRICES[key]), (above, long))
            for name, price in rates.items()
        ],
        model,
        NOW,
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_block_gives_its_classes_and_its_cost(example: Example) -> None:
    usage = normalise(example.provider, example.block)
    assert {kind.value: count for kind, count in usage.counts.items()} == example.classes
    assert usage.state == example.state
    assert bool(usage.problems) == (example.state == "inconsistent")
    cost = cost_of(usage, prices(example.provider, example.model, example.tier))
    assert cost is not None
    assert cost.total == Decimal(example.cost)
    assert cost.total == sum(line.cost for line in cost.lines)


def test_the_table_is_as_long_as_promised() -> None:
    assert len(EXAMPLES) >= 40
    assert len({example.provider for example in EXAMPLES}) >= 4
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)


def test_every_class_is_on_one_side_and_in_the_document() -> None:
    assert set(TokenClasses.model_fields) == {kind.value for kind in TokenClass}
    assert PROMPT.isdisjoint(NO_TOKENS)
    for kind in TokenClass:
        instead = INSTEAD.get(kind)
        if instead is None:
            assert kind in {TokenClass.INPUT, TokenClass.OUTPUT, *NO_TOKENS}
        else:
            assert (kind in PROMPT) == (instead in PROMPT)


@pytest.mark.parametrize(
    "block",
    [None, {}, {"prompt_tokens": None, "completion_tokens": None}, {"input_tokens": None}],
)
def test_no_figures_are_unknown_and_not_zero(block: dict[str, Any] | None) -> None:
    assert normalise("openai", block) == UNKNOWN
    assert UNKNOWN.state is UsageState.UNKNOWN


def test_a_reported_zero_is_known() -> None:
    usage = normalise("openai", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    assert (usage.state, usage.prompt, usage.completion) == (UsageState.KNOWN, 0, 0)


@pytest.mark.parametrize("wrong", [-1, 1.5, "12", True, 10**9 + 1, float("nan"), float("inf"), [1]])
@pytest.mark.parametrize(
    ("place", "block"),
    [
        ("prompt_tokens", lambda value: {"prompt_tokens": value, "completion_tokens": 1}),
        (
            "prompt_tokens_details.cached_tokens",
            lambda value: {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": value},
            },
        ),
        (
            "cache_read_input_tokens",
            lambda value: {
                "input_tokens": 1,
                "output_tokens": 1,
                "cache_read_input_tokens": value,
            },
        ),
        ("promptTokenCount", lambda value: {"promptTokenCount": value}),
        (
            "promptTokensDetails.tokenCount",
            lambda value: {
                "promptTokenCount": 9,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": value}],
            },
        ),
        ("output", lambda value: {"output": value}),
    ],
)
def test_a_count_that_is_none_is_refused_by_name(wrong: Any, place: str, block: Any) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        normalise(None, block(wrong))
    assert caught.value.field == f"usage.{place}"


def test_whole_numbers_written_as_floats_are_counts() -> None:
    assert normalise(None, {"input": 12.0}).prompt == 12


@pytest.mark.parametrize("block", [{"tokens_used": 5}, {"": 1}, {"cost": 0.1}])
def test_an_unknown_shape_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput, match="shape"):
        normalise("openai", block)


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        normalise("raw", {"input": 5, "cashed_input": 3})
    assert caught.value.field == "usage.cashed_input"


_FIELDS = sorted(
    {name for example in EXAMPLES for name in example.block}
    | {
        name
        for example in EXAMPLES
        for inner in example.block.values()
        if isinstance(inner, dict)
        for name in inner
    }
)
_COUNTS = st.none() | st.integers(0, 3_000)
_BLOCKS = st.dictionaries(
    st.sampled_from(_FIELDS),
    _COUNTS | st.dictionaries(st.sampled_from(_FIELDS), _COUNTS, max_size=4),
    max_size=8,
)


@given(st.sampled_from([None, "openai", "anthropic", "google", "x-ai"]), _BLOCKS)
def test_no_block_gives_negative_or_invented_tokens(
    provider: str | None, block: dict[str, Any]
) -> None:
    try:
        usage = normalise(provider, block)
    except errors.InvalidInput:
        return
    assert all(count > 0 for count in usage.counts.values())
    if usage.state is UsageState.UNKNOWN:
        assert not usage.counts


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_openai_totals_are_kept(prompt: int, cached: int, completion: int, reasoning: int) -> None:
    cached, reasoning = min(cached, prompt), min(reasoning, completion)
    usage = normalise(
        "openai",
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    )
    assert (usage.prompt, usage.completion, usage.state) == (prompt, completion, UsageState.KNOWN)


def test_names_have_one_spelling() -> None:
    assert provider_of(" Claude ") == "anthropic"
    assert provider_of("google-gla") == "google"
    assert provider_of("OpenAI") == "openai"
    assert provider_of("somebody") == "somebody"
    assert provider_of("") is None
    assert tier_of("default") == tier_of("on_demand") == "standard"
    assert tier_of("Batch") == "batch"
    assert tier_of(None) is None
    assert normalise("anthropic", {"input_tokens": 1, "service_tier": "batch"}).tier == "batch"


def test_shapes_have_names_of_their_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES) >= 6
