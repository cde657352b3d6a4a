"""Renders parts of the demo's output: `python docs/images/capture_demo.py` (demo.svg, chat.svg)."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text


def draw(name: str, title: str, lines: Sequence[str]) -> None:
    """Write lines of a terminal as a picture."""
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S)  # no font from elsewhere
    svg = re.sub(r"<!--.*?-->", "", svg).replace("Fira Code", "DejaVu Sans Mono")
    Path(__file__).with_name(name).write_text(svg)


done = subprocess.run(  # noqa: S603 - our own command
    [str(Path(sys.executable).parent / "message-service"), "demo"],
    env={**os.environ, "COLUMNS": "100", "FORCE_COLOR": "1"},
    capture_output=True,
    text=True,
    check=True,
)
lines = done.stdout.splitlines()


def place(words: str) -> int:
    """Return the number of the line that has these words."""
    return next(i for i, line in enumerate(lines) if words in line)


plans, after = place("How the server answers"), place("Try next")
draw("demo.svg", "make demo", [*lines[: plans + 9], "  ...", *lines[after:]])
chat = place("A chat with a model on this machine")
end = next(i for i in range(chat + 1, len(lines)) if "go on with:" in lines[i])
draw("chat.svg", "a chat with a model on this machine", lines[chat : end + 1])
