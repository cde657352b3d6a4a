"""The type of a stored document as the driver reads and writes it."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
