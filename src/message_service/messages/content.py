"""The content group of a message: the checked text and the fields derived from it."""

from __future__ import annotations

from message_service import errors
from message_service.arguments import check_text_argument, check_whole_number
from message_service.documents.fields import MAX_NAME, MAX_TEXT_BYTES, MAX_TEXT_CODE_POINTS
from message_service.documents.row import Row
from message_service.enrichment import text_statistics
from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.messages import integrity

LANGUAGE_PATH = "content.detected_language"


def content_of(
    text: str,
    *,
    language: str | None = None,
    token_count: int | None = None,
    tokenizer: str | None = None,
) -> Row:
    """Return the content group of a text, derived fields included.

    Raises:
        TextTooLong: See `prepare`.
        InvalidInput: See `prepare`.
    """
    encoded = check_text("text", text)
    measured = text_statistics.measure(text)
    if token_count is None and tokenizer is not None:
        raise errors.InvalidInput(
            "tokenizer", "is given without a count", "Give token_count as well"
        )
    content: Row = {
        "text": text,
        "sanitized_text": text_statistics.sanitize(text),
        "content_hash": integrity.content_hash(encoded),
        "word_count": measured.word_count,
        "character_count": measured.character_count,
        "estimated_reading_time_seconds": measured.reading_seconds,
        "token_count": measured.token_count if token_count is None else token_count,
        "tokenizer": text_statistics.TOKENIZER if token_count is None else tokenizer or "caller",
    }
    if language is None:
        detected = detect_language(content["sanitized_text"]).code
        language = None if detected == UNDETERMINED else detected
    if language is not None:
        content["detected_language"] = language
    return content


def check_text(field: str, text: str) -> bytes:
    """Return the text in UTF-8 when it can be stored.

    Raises:
        TextTooLong: Over 50,000 code points or 160,000 bytes.
        InvalidInput: Empty, or with a lone surrogate.
    """
    if not text:
        raise errors.InvalidInput(field, "is empty", "Give at least one character")
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
    return content_of(text, language=language, token_count=token_count, tokenizer=tokenizer)
