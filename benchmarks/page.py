"""Puts measured tables into the page that publishes them."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "enrichment.md"


def write_table(name: str, table: str) -> None:
    """Replace one table of the page.

    Args:
        name: Name of the marks around it: `<!-- name: begin -->`, `<!-- name: end -->`.
        table: The table in Markdown.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = PAGE.read_text("utf-8").split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")
