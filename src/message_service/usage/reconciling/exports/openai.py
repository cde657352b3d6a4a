"""OpenAI's usage of completions: the dashboard's CSV export and the Usage API's JSON.

Both have the same names (platform.openai.com/docs/api-reference/usage/completions). `input_tokens`
holds the cached ones. Since there are columns by kind (`input_text_tokens`), it holds audio and
images too; before, audio stood beside it.
"""

from __future__ import annotations

from message_service.usage.reconciling.export import ExportShape, Figures

_NEEDED = frozenset({"input_tokens", "output_tokens"})
_KINDS = ("text", "audio", "image")


def _measures(found: Figures) -> dict[str, int]:
    by_kind = "input_text_tokens" in found or "input_uncached_tokens" in found
    audio_in = 0 if by_kind else found.get("input_audio_tokens", 0)
    audio_out = 0 if by_kind else found.get("output_audio_tokens", 0)
    measures = {
        "prompt": found.get("input_tokens", 0) + audio_in,
        "cached": found.get("input_cached_tokens", 0),
        "output": found.get("output_tokens", 0) + audio_out,
    }
    if "input_cache_write_tokens" in found:
        measures["cache_write"] = found["input_cache_write_tokens"]
    return measures


OPENAI = ExportShape(
    name="OpenAI usage of completions",
    provider="openai",
    begin=("start_time", "start_time_iso"),
    end=("end_time", "end_time_iso"),
    model="model",
    needed=_NEEDED,
    figures=_NEEDED
    | {
        "num_model_requests",
        "input_cached_tokens",
        "input_uncached_tokens",
        "input_cache_write_tokens",
        *(f"{side}_{kind}_tokens" for side in ("input", "output") for kind in _KINDS),
        *(f"input_cached_{kind}_tokens" for kind in _KINDS),
    },
    words=frozenset({
        "object",
        "project_id",
        "project_name",
        "user_id",
        "user_email",
        "user_name",
        "api_key_id",
        "api_key_name",
        "api_key_redacted",
        "batch",
        "service_tier",
        "api_source",
        "organization_id",
        "organization_name",
    }),
    measures=_measures,
    requests="num_model_requests",
)  # fmt: skip
