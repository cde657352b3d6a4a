"""Renders the demo's output as docs/images/demo.svg: `python docs/images/capture_demo.py`."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

done = subprocess.run(  # noqa: S603 - our own command
    [str(Path(sys.executable).parent / "message-service"), "demo"],
    env={**os.environ, "COLUMNS": "100", "FORCE_COLOR": "1"},
    capture_output=True,
    text=True,
    check=True,
)
lines = done.stdout.splitlines()
plans = next(i for i, line in enumerate(lines) if "How the server answers" in line)
after = next(i for i, line in enumerate(lines) if "Try next" in line)
shown = [*lines[: plans + 9], "  ...", *lines[after:]]
console = Console(record=True, width=100, file=io.StringIO())
console.print(Text.from_ansi("\n".join(shown)))
svg = console.export_svg(title="make demo")
svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S)  # no font from elsewhere
svg = re.sub(r"<!--.*?-->", "", svg).replace("Fira Code", "DejaVu Sans Mono")
Path(__file__).with_name("demo.svg").write_text(svg)
