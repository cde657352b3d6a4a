"""`python -m benchmarks [--quick] [NAME...]`: measures, prints a table, writes results as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import (
    append,
    attachments,
    bulk_import,
    context,
    history,
    jobs,
    peers,
    plot,
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
}
RESULTS = Path(__file__).with_name("results")


async def run(names: list[str], *, quick: bool) -> tuple[dict[str, str], list[Figure]]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        manager = LocalServerManager(Path(directory) / "server", None)
        uri = (await manager.start()).uri
        try:
            async with fresh_service(uri) as service:
                facts = machine(service.server.version_text)
            for name in names:
                print(f"measuring {name} ...", flush=True)
                figures += await FIGURES[name].measure(uri, quick=quick)
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="small sizes; not for quoting")
    given = parser.parse_args()
    unknown = set(given.names) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    facts, figures = asyncio.run(run(given.names or list(FIGURES), quick=given.quick))
    print(table(facts, figures))
    if not given.quick and not given.names:
        RESULTS.mkdir(exist_ok=True)
        rows = [{**asdict(f), "met": f.met} for f in figures]
        (RESULTS / "latest.json").write_text(
            json.dumps({"machine": facts, "figures": rows}, indent=2) + "\n"
        )
        plot.draw(figures, Path("docs/images/benchmarks.png"))


if __name__ == "__main__":
    main()
