"""Connections that the driver leaves to the garbage collector; all others that do are defects.

A monitor of the driver that its client's close cancels while it empties a pool never closes the
pool's idle connections: `Pool._reset` hands their closes to `asyncio.gather`, and a task that is
cancelled before its first step does nothing. The transport's finaliser closes the socket then, and
warns; the warning fails the test that happens to run.
"""

from __future__ import annotations

import asyncio
from asyncio import selector_events
from typing import Any

from pymongo.network_layer import PyMongoProtocol


def forgive_the_driver() -> None:
    """Close what the driver left without a warning; warn of any other, as before."""
    transport: Any = selector_events._SelectorTransport  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    warn = transport.__del__

    def collected(self: Any, *arguments: Any) -> None:
        if self._sock is not None and isinstance(_protocol(self), PyMongoProtocol):
            self._sock.close()
        else:
            warn(self, *arguments)

    transport.__del__ = collected


def _protocol(transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
    try:
        return transport.get_protocol()
    except AttributeError:  # collected before it was made in full
        return None
