"""Anthropic's usage of messages: the console's CSV export and the Admin API's JSON.

Their names differ; what they count is the same: cached tokens stand beside the others
(platform.claude.com/docs, "Usage and Cost API"). Neither tells the number of requests.
"""

from __future__ import annotations

from message_service.usage.reconciling.export import ExportShape, Figures


def _measures(found: Figures, names: tuple[str, str, str, str]) -> dict[str, int]:
    fresh, wrote_5m, wrote_1h, read = (found.get(name, 0) for name in names)
    return {
        "prompt": fresh + wrote_5m + wrote_1h + read,
        "cached": read,
        "cache_write_5m": wrote_5m,
        "cache_write_1h": wrote_1h,
    }


_FRESH, _READ = "uncached_input_tokens", "cache_read_input_tokens"
_5M = "cache_creation.ephemeral_5m_input_tokens"
_1H = "cache_creation.ephemeral_1h_input_tokens"
_SEARCHES = "server_tool_use.web_search_requests"


def _of_api(found: Figures) -> dict[str, int]:
    return {
        **_measures(found, (_FRESH, _5M, _1H, _READ)),
        "output": found.get("output_tokens", 0),
        "web_search": found.get(_SEARCHES, 0),
    }


API = ExportShape(
    name="Anthropic usage report of messages",
    provider="anthropic",
    begin=("starting_at",),
    end=("ending_at",),
    model="model",
    needed=frozenset({_FRESH, "output_tokens"}),
    figures=frozenset({_FRESH, _READ, _5M, _1H, "output_tokens", _SEARCHES}),
    words=frozenset({
        "api_key_id",
        "workspace_id",
        "account_id",
        "service_account_id",
        "service_tier",
        "context_window",
        "inference_geo",
        "speed",
    }),
    measures=_of_api,
)  # fmt: skip

_CONSOLE = (
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
)


def _of_console(found: Figures) -> dict[str, int]:
    return {
        **_measures(found, _CONSOLE),
        "output": found.get("usage_output_tokens", 0),
        "web_search": found.get("web_search_count", 0),
    }


CONSOLE = ExportShape(
    name="Anthropic console usage",
    provider="anthropic",
    begin=("usage_date_utc",),
    end=(),
    model="model_version",
    needed=frozenset({_CONSOLE[0], "usage_output_tokens"}),
    figures=frozenset({*_CONSOLE, "usage_output_tokens", "web_search_count"}),
    words=frozenset({
        "api_key",
        "workspace",
        "usage_type",
        "context_window",
        "inference_geo",
        "speed",
    }),
    measures=_of_console,
)  # fmt: skip
