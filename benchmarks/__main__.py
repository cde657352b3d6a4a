"""`python -m benchmarks [--quick] [NAME...]`: measures, prints a table, keeps the results."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import (
    analytics,
    append,
    attachments,
    backup,
    backup_memory,
    bulk_import,
    context,
    history,
    jobs,
    peers,
    plot,
    replies,
    search,
    usage,
    usage_report,
)
from benchmarks.harness import Figure, fresh_service, machine
from message_service.local_server.manager import LocalServerManager

FIGURES = {
    "append": append,
    "attachments": attachments,
    "import": bulk_import,
    "history": history,
    "context": context,
    "peers": peers,
    "jobs": jobs,
    "search": search,
    "usage": usage,
    "usage_report": usage_report,
    "analytics": analytics,
    "replies": replies,
    "backup": backup,
    "backup-memory": backup_memory,
}
RESULTS = Path(__file__).with_name("results")


async def run(names: list[str], *, quick: bool) -> tuple[dict[str, str], dict[str, list[Figure]]]:
    figures: dict[str, list[Figure]] = {}
    with tempfile.TemporaryDirectory() as directory:
        manager = LocalServerManager(Path(directory) / "server", None)
        uri = (await manager.start()).uri
        try:
            async with fresh_service(uri) as service:
                facts = machine(service.server.version_text)
            for name in names:
                print(f"measuring {name} ...", flush=True)
                figures[name] = await FIGURES[name].measure(uri, quick=quick)
        finally:
            await manager.stop()
    return facts, figures


def table(facts: dict[str, str], figures: list[Figure]) -> str:
    lines = ["| what | ours | raw driver | ratio | bar | met |", "|---|---|---|---|---|---|"]
    for figure in figures:
        sign = ">=" if figure.better == "higher" else "<="
        lines.append(
            f"| {figure.name} | {figure.ours} | {figure.raw} | {figure.ratio:.2f} | "
            f"{sign} {figure.bar:g} | {'yes' if figure.met else 'no'} |"
        )
    return "\n".join([*lines, "", ", ".join(f"{k}: {v}" for k, v in facts.items())])


def save(facts: dict[str, str], measured: dict[str, list[Figure]]) -> None:
    """Put what was measured in the place of older results; each row says of what day it is."""
    path = RESULTS / "latest.json"
    rows = [row for row in json.loads(path.read_text())["figures"] if row["of"] not in measured]
    machine = {name: fact for name, fact in facts.items() if name != "date"}
    for name, figures in measured.items():
        rows += [{"of": name, "date": facts["date"], **asdict(figure)} for figure in figures]
    rows.sort(key=lambda row: list(FIGURES).index(row["of"]))
    path.write_text(json.dumps({"machine": machine, "figures": rows}, indent=2) + "\n")
    drawn = [
        Figure(**{key: value for key, value in row.items() if key not in {"of", "date"}})
        for row in rows
    ]
    plot.draw(drawn, Path("docs/images/benchmarks.png"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="small sizes; not for quoting")
    given = parser.parse_args()
    unknown = set(given.names) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    facts, measured = asyncio.run(run(given.names or list(FIGURES), quick=given.quick))
    print(table(facts, [figure for figures in measured.values() for figure in figures]))
    if not given.quick:
        save(facts, measured)


if __name__ == "__main__":
    main()
