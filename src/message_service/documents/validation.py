"""Translates validation errors of pydantic into our error, which names the field and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from message_service import errors
from message_service.arguments import check_finite, check_mapping

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Return `values` as a validated `model`.

    Raises:
        InvalidInput: A field is not valid; the error names the first such field and the fix.
    """
    # Checked before pydantic runs, because pydantic would never finish reading an endless iterator.
    check_finite("", check_mapping("value", values))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_input(error) from None


def invalid_input(error: ValidationError) -> errors.InvalidInput:
    """Return our error for an error of pydantic; the invalid value is not repeated in it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "value"
    context: dict[str, Any] = first.get("ctx", {})
    kind = first["type"]
    problem = first["msg"].removeprefix("Value error, ")
    match kind:
        case "extra_forbidden":
            return errors.InvalidInput(field, "is not a known field", "Remove it or correct it")
        case "missing":
            return errors.InvalidInput(field, "is missing", "Give it a value")
        case "enum" | "literal_error":
            fix = f"Use one of: {context.get('expected', 'the documented values')}"
            return errors.InvalidInput(field, "is not an accepted value", fix)
        case "string_pattern_mismatch":
            fix = f"Match {context['pattern']}"
            return errors.InvalidInput(field, "does not match its grammar", fix)
        case "greater_than_equal" if context.get("ge") == 0:
            return errors.InvalidInput(field, "is negative", "Use zero or more")
        case _:
            return errors.InvalidInput(field, problem[0].lower() + problem[1:], "Correct the value")
