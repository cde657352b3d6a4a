"""A process that appends: `python writer.py URI DATABASE COUNT CONVERSATION...`.

Each message has a key of its own and is repeated under it until it is acknowledged. One JSON line
on standard output for each acknowledged message, at once.
"""

import asyncio
import json
import os
import sys

from message_service import MessageService, errors


async def main(uri: str, database: str, count: int, conversations: list[str]) -> None:
    async with await MessageService.connect(
        uri, database=database, min_pool_size=0, server_selection_timeout=1, write_deadline=5
    ) as service:
        for turn in range(count):
            conversation = conversations[turn % len(conversations)]
            key = f"{os.getpid()}-{turn}"
            while True:
                try:
                    appended = await service.messages.append(
                        conversation, "user", f"text of {key}", client_msg_id=key
                    )
                except errors.Unavailable:
                    continue
                break
            line = {
                "conversation": conversation,
                "key": key,
                "message_id": appended.message_id,
                "number": appended.sequence_number,
            }
            print(json.dumps(line), flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
