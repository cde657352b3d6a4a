"""The evaluators that need nothing but the text: no model, no network, no database.

They are listed and not discovered, because other modules of this package use the list.
"""

from __future__ import annotations

from typing import Final

from message_service.generation.quality.evaluator import Evaluator
from message_service.generation.quality.language_quality import LANGUAGE_QUALITY
from message_service.generation.quality.refusal import REFUSAL
from message_service.generation.quality.relevance import RELEVANCE
from message_service.generation.quality.repetition import REPETITION

EVALUATORS: Final[tuple[Evaluator, ...]] = (LANGUAGE_QUALITY, REFUSAL, RELEVANCE, REPETITION)
"""Every local evaluator."""
