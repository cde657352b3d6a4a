"""The worker of the benchmark of replies: `python -m benchmarks.reply_worker URI DATABASE`.

It says `ready`, and works until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from benchmarks.replies import SETTINGS
from message_service import MessageService, StopSignal
from message_service.cli.running import collect_rarely


async def main(uri: str, database: str) -> None:
    """Run a worker."""
    stop = StopSignal()
    loop = asyncio.get_running_loop()
    async with await MessageService.connect(uri, database=database, **SETTINGS) as service:
        worker = service.worker(["llm_generation"], concurrency=400, loops=False)
        print("ready", flush=True)

        def end() -> None:
            sys.stdin.read()
            loop.call_soon_threadsafe(stop.request)

        threading.Thread(target=end, daemon=True).start()
        await worker.run(stop)


if __name__ == "__main__":
    collect_rarely()
    asyncio.run(main(sys.argv[1], sys.argv[2]))
