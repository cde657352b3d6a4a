"""Usage exports in the shapes of OpenAI and Anthropic, of made-up figures.

Columns and fields are those that the providers document and their consoles write.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

OPENAI_COLUMNS = (
    *("start_time", "end_time", "start_time_iso", "end_time_iso", "project_id"),
    *("num_model_requests", "user_id", "api_key_id", "model", "batch", "service_tier"),
    *("input_tokens", "output_tokens", "input_cached_tokens", "input_uncached_tokens"),
    *("input_text_tokens", "output_text_tokens", "input_cached_text_tokens"),
    *("input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens"),
    *("input_image_tokens", "input_cached_image_tokens", "output_image_tokens"),
)
CONSOLE_COLUMNS = (
    *("usage_date_utc", "model_version", "api_key", "workspace", "usage_type", "context_window"),
    *("usage_input_tokens_no_cache", "usage_input_tokens_cache_write_5m"),
    *("usage_input_tokens_cache_write_1h", "usage_input_tokens_cache_read"),
    *("usage_output_tokens", "web_search_count", "inference_geo", "speed"),
)


def _day(day: str) -> tuple[datetime, datetime]:
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return begin, begin + timedelta(days=1)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, object]], delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def openai_row(day: str, model: str, used: int, cached: int, made: int, calls: int) -> Any:
    begin, end = _day(day)
    return {
        "start_time": int(begin.timestamp()),
        "end_time": int(end.timestamp()),
        "start_time_iso": begin.isoformat(),
        "end_time_iso": end.isoformat(),
        "project_id": "proj_1",
        "num_model_requests": f"{calls}.0",  # as the dashboard writes them
        "model": model,
        "batch": "FALSE",
        "service_tier": "default",
        "input_tokens": f"{used}.0",
        "output_tokens": f"{made}.0",
        "input_cached_tokens": f"{cached}.0",
        "input_uncached_tokens": f"{used - cached}.0",
        "input_text_tokens": f"{used - cached}.0",
        "output_text_tokens": f"{made}.0",
    }


def openai_csv(*rows: tuple[str, str, int, int, int, int], delimiter: str = ",") -> str:
    """Return the dashboard's export; a row is day, model, used, cached of it, made, calls."""
    return table(OPENAI_COLUMNS, [openai_row(*row) for row in rows], delimiter)


def openai_json(*rows: tuple[str, str, int, int, int, int], more: bool = False) -> str:
    """Return the answer of the usage API to the same."""
    buckets: list[dict[str, Any]] = []
    for row in rows:
        begin, end = _day(row[0])
        _, model, used, cached, made, calls = row
        result = {
            "object": "organization.usage.completions.result",
            "input_tokens": used,
            "output_tokens": made,
            "input_cached_tokens": cached,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": calls,
            "project_id": None,
            "user_id": None,
            "api_key_id": None,
            "model": model,
            "batch": None,
        }
        buckets.append(
            {
                "object": "bucket",
                "start_time": int(begin.timestamp()),
                "end_time": int(end.timestamp()),
                "results": [result] if model else [],
            }
        )
    page = {"object": "page", "data": buckets, "has_more": more, "next_page": None}
    return json.dumps(page)  # fmt: skip


def console_csv(*rows: tuple[str, str, int, int, int, int, int]) -> str:
    """Return Anthropic's console export.

    A row is day, model, fresh, written for 5 minutes, for an hour, read, made.
    """
    names = ("usage_date_utc", "model_version", *CONSOLE_COLUMNS[6:11])
    rest = {"workspace": "Default", "usage_type": "standard", "context_window": "≤ 200k"}
    lines = [dict(zip(names, row, strict=True)) | rest | {"web_search_count": 0} for row in rows]
    return table(CONSOLE_COLUMNS, lines, ",")


def anthropic_json(*rows: tuple[str, str, int, int, int, int, int]) -> str:
    """Return the answer of the Admin API to the same."""
    buckets: list[dict[str, Any]] = []
    for day, model, fresh, written, longer, read, made in rows:
        begin, end = _day(day)
        result = {
            "uncached_input_tokens": fresh,
            "cache_creation": {
                "ephemeral_1h_input_tokens": longer,
                "ephemeral_5m_input_tokens": written,
            },
            "cache_read_input_tokens": read,
            "output_tokens": made,
            "server_tool_use": {"web_search_requests": 0},
            "api_key_id": None,
            "workspace_id": None,
            "model": model,
            "service_tier": "standard",
            "context_window": "0-200k",
        }
        buckets.append(
            {
                "starting_at": begin.isoformat().replace("+00:00", "Z"),
                "ending_at": end.isoformat().replace("+00:00", "Z"),
                "results": [result],
            }
        )
    return json.dumps({"data": buckets, "has_more": False, "next_page": None})  # fmt: skip
