"""Reads the `details` blocks with which Open WebUI writes thoughts and tool calls into a text."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from message_service.interchange.reading import part_making
from message_service.interchange.reading.json_reading import as_list, as_object
from message_service.interchange.reading.part_making import Part

_OPENING = re.compile(
    r'<details type="(reasoning|tool_calls|code_interpreter)"((?: [\w-]+="[^"]*")*) ?>'
)
_CLOSING = "</details>"
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_SUMMARY = re.compile(r"\s*<summary>[^<]*</summary>\n?")


def parts_of(text: str, own: str) -> list[Part]:
    """Return an assistant's text as parts: what is between the blocks stays as it is.

    Args:
        text: The text.
        own: The id of the message, from which ids of tool calls are made where there are none.
    """
    parts: list[Part] = []
    at = 0
    while (opening := _OPENING.search(text, at)) is not None:
        _add_text(parts, text[at : opening.start()])
        end = text.find(_CLOSING, opening.end())
        at = len(text) if end < 0 else end + len(_CLOSING)
        body = text[opening.end() : len(text) if end < 0 else end]
        summary = _SUMMARY.match(body)
        body = body[summary.end() :] if summary is not None else body
        facts = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(opening[2])}
        place = f"{own}/{len(parts) + 1}"
        parts += _block(opening[1], facts, body.strip("\n"), place)
    _add_text(parts, text[at:])
    return parts


def _add_text(parts: list[Part], text: str) -> None:
    if parts or not text.strip():
        text = text.strip("\n")  # only separates the blocks
    if text:
        parts.append(part_making.text_part(text))


def _block(kind: str, facts: dict[str, str], body: str, place: str) -> list[Part]:
    if kind == "reasoning":
        lines = html.unescape(body).split("\n")
        thought = "\n".join(line.removeprefix(">").removeprefix(" ") for line in lines)
        return [part_making.reasoning(thought)] if thought else []
    own = facts.get("id") or place
    if kind == "code_interpreter":
        name, arguments = kind, html.unescape(body)
        result = facts.get("output")
    else:
        name, arguments = facts.get("name"), _unwrapped(facts.get("arguments", ""))
        # Newer versions write the result into the body.
        result = facts.get("result") or (
            html.unescape(body) if facts.get("done") == "true" else None
        )
    parts = [part_making.tool_call(own, name, arguments)]
    if result:
        parts.append(part_making.tool_result(own, _result(result), name=name))
    files = _decoded(facts.get("files", ""))
    for item in as_list(files):
        file = as_object(item) or {"url": item}
        parts.append(part_making.attachment(file.get("url"), name=file.get("name")))
    return parts


def _unwrapped(text: str) -> str:
    """Return the arguments, which are written as JSON of a text that is JSON itself."""
    decoded = _decoded(text)
    return decoded if isinstance(decoded, str) else text


def _result(text: str) -> str:
    """Return the answer of a tool: the text in as many layers of JSON as there are, at most two."""
    for _ in range(2):
        decoded = _decoded(text)
        if not isinstance(decoded, str):
            return text
        text = decoded
    return text


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
