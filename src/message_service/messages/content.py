"""The content group of a message: the checked text, the parts, and the fields derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from message_service import errors
from message_service.arguments import check_text_argument, check_whole_number
from message_service.documents.fields import MAX_NAME, MAX_TEXT_BYTES, MAX_TEXT_CODE_POINTS
from message_service.documents.parts import Part
from message_service.documents.row import Row
from message_service.enrichment import text_statistics
from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.messages import integrity
from message_service.messages.parts import (
    assemble,
    call_ids,
    canonical,
    prompt_tokens,
    reasoning_tokens,
)

LANGUAGE_PATH = "content.detected_language"


def content_of(
    text: str,
    parts: Sequence[Row] | None = None,
    *,
    language: str | None = None,
    token_count: int | None = None,
    tokenizer: str | None = None,
) -> Row:
    """Return the content group of a text and parts, derived fields included.

    Args:
        text: The text.
        parts: The parts in stored form, as `assemble` returns them.
        language: The language of the text, if known.
        token_count: Tokens of text and parts in a prompt, if known.
        tokenizer: The counter that counted the tokens.

    Raises:
        TextTooLong: See `prepare`.
        InvalidInput: See `prepare`.
    """
    encoded = check_text("text", text, may_be_empty=bool(parts))
    measured = text_statistics.measure(text)
    if token_count is None and tokenizer is not None:
        raise errors.InvalidInput(
            "tokenizer", "is given without a count", "Give token_count as well"
        )
    content: Row = {
        "text": text,
        "sanitized_text": text_statistics.sanitize(text),
        "content_hash": integrity.content_hash(encoded, canonical(parts)),
        "word_count": measured.word_count,
        "character_count": measured.character_count,
        "estimated_reading_time_seconds": measured.reading_seconds,
        "token_count": measured.token_count if token_count is None else token_count,
        "tokenizer": text_statistics.TOKENIZER if token_count is None else tokenizer or "caller",
    }
    if parts:
        _add_parts(content, parts, counted=token_count is not None)
    if language is None:
        detected = detect_language(content["sanitized_text"]).code
        language = None if detected == UNDETERMINED else detected
    if language is not None:
        content["detected_language"] = language
    return content


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the digest that a stored content must have.

    Raises:
        UnicodeEncodeError: Its text or a part has a lone surrogate.
    """
    text: str = content["text"]
    return integrity.content_hash(text.encode(), canonical(content.get("parts")))


def _add_parts(content: Row, parts: Sequence[Row], *, counted: bool) -> None:
    content["parts"] = list(parts)
    if not counted:
        content["token_count"] += prompt_tokens(parts)
    if ids := call_ids(parts):
        content["call_ids"] = ids
    if thought := reasoning_tokens(parts):
        content["reasoning_token_count"] = thought


def check_text(field: str, text: str, *, may_be_empty: bool = False) -> bytes:
    """Return the text in UTF-8 when it can be stored.

    Raises:
        TextTooLong: Over 50,000 code points or 160,000 bytes.
        InvalidInput: Empty, or with a lone surrogate.
    """
    if not text and not may_be_empty:
        raise errors.InvalidInput(field, "is empty", "Give at least one character, or parts")
    if len(text) > MAX_TEXT_CODE_POINTS:
        raise errors.TextTooLong(
            field,
            f"has {len(text):,} characters",
            f"Use at most {MAX_TEXT_CODE_POINTS:,}, or split it over several messages",
        )
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise errors.InvalidInput(
            field,
            f"has a lone surrogate at position {error.start}, which UTF-8 cannot express",
            "Clean it, for example with text.encode('utf-8', 'replace').decode()",
        ) from None
    if len(encoded) > MAX_TEXT_BYTES:
        raise errors.TextTooLong(
            field,
            f"has {len(encoded):,} bytes of UTF-8",
            f"Use at most {MAX_TEXT_BYTES:,}, or split it over several messages",
        )
    return encoded


def given_paths(stored: Row, language: str | None) -> list[str]:
    """Return the paths enrichers must not change after the text was replaced."""
    enrichment: Row = stored.get("enrichment") or {}
    given: list[str] = enrichment.get("given", [])
    kept = [path for path in given if path != LANGUAGE_PATH]
    return kept if language is None else [*kept, LANGUAGE_PATH]


def new_content(
    text: str,
    parts: Sequence[Part] | None = None,
    *,
    language: str | None = None,
    token_count: int | None = None,
    tokenizer: str | None = None,
) -> Row:
    """Return the content group of a new text; the types of the arguments are checked here."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput("text", "is not a string", "Give a text as str")
    if language is not None:
        check_text_argument("language", language, most=MAX_NAME)
    if token_count is not None:
        check_whole_number("token_count", token_count, 0, 2**63 - 1)
    if tokenizer is not None:
        check_text_argument("tokenizer", tokenizer, most=MAX_NAME)
    return content_of(
        *assemble(text, parts), language=language, token_count=token_count, tokenizer=tokenizer
    )
