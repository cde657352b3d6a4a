"""Files of reports: which format goes where, and charts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

from message_service import errors
from message_service.cli.context import progress_console
from message_service.cli.exporting import write_lines
from message_service.cli.running import run_once
from message_service.reports.formats import FORMATS
from message_service.stopping import StopSignal

TABLE = "table"


def check_output(name: str, output: Path) -> None:
    """Check a format and where it is to be written.

    Raises:
        InvalidInput: There is no such format, or it cannot be written there.
    """
    if name != TABLE and name not in FORMATS:
        raise errors.InvalidInput(
            "format", f"there is no format {name!r}", f"Use {TABLE}, {', '.join(FORMATS)}"
        )
    to_screen = str(output) == "-"
    if name == TABLE and not to_screen:
        raise errors.InvalidInput("output", "is for files", "Use --format csv, json or parquet")
    if name == "parquet" and to_screen and sys.stdout.isatty():
        raise errors.InvalidInput("output", "would be a terminal", "Name a file by --output")


def write_chart(data: bytes, chart: Path) -> None:
    """Write a chart to a file.

    Raises:
        InvalidInput: It cannot be written there.
    """
    try:
        run_once(write_lines(_one(data), chart, StopSignal()))
    except errors.InvalidInput as error:
        raise errors.InvalidInput("chart", error.problem, error.fix) from None
    progress_console.print(f"chart written to {chart}", markup=False)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
