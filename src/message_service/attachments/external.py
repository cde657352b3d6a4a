"""The bytes of files in an external store: a folder, or anything else that fsspec can reach."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import IO, Any

from message_service import errors
from message_service.filesystems import open_filesystem

_BLOCK = 1024**2


class ExternalStore:
    """A store that fsspec reaches, for all tenants; each has its own folder in it.

    fsspec's calls block, so they run in threads.

    Args:
        url: Where it is, for example `file:///srv/attachments` or `s3://bucket/attachments`.
            Access keys belong into fsspec's own configuration, not into the URL.

    Raises:
        InvalidInput: fsspec is not installed, or does not know such a URL.
    """

    def __init__(self, url: str) -> None:
        self._system, self._root = open_filesystem(url, "attachment_store", "attachments")

    async def write(self, tenant_id: str, digest: str, file: IO[bytes]) -> None:
        """Store the bytes of a file; it appears under its name when it is complete.

        Raises:
            Unavailable: The store refused it, or cannot be reached.
        """
        await self._run(self._write, self._path(tenant_id, digest), file)

    async def read(self, tenant_id: str, digest: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file; it ends at once when there is none.

        Raises:
            Unavailable: The store cannot be reached.
        """
        try:
            file = await self._run(self._system.open, self._path(tenant_id, digest), "rb")
        except FileNotFoundError:
            return
        try:
            while block := await self._run(file.read, _BLOCK):
                yield block
        finally:
            await self._run(file.close)

    async def size(self, tenant_id: str, digest: str) -> int | None:
        """Return how many bytes of a file are there; None when there is none.

        Raises:
            Unavailable: The store cannot be reached.
        """
        try:
            return await self._run(self._system.size, self._path(tenant_id, digest))
        except FileNotFoundError:
            return None

    def _path(self, tenant_id: str, digest: str) -> str:
        name = digest.partition(":")[2]
        return f"{self._root.rstrip('/')}/{tenant_id}/{name[:2]}/{name}"

    def _write(self, path: str, file: IO[bytes]) -> None:
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        partial = f"{path}.{secrets.token_hex(6)}.partial"
        try:
            with self._system.open(partial, "wb") as target:
                while block := file.read(_BLOCK):
                    target.write(block)
            self._system.mv(partial, path)
        except BaseException:
            if self._system.exists(partial):
                self._system.rm(partial)
            raise

    async def _run(self, call: Any, *arguments: Any) -> Any:
        try:
            return await asyncio.to_thread(call, *arguments)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise errors.Unavailable(
                f"the attachment store does not answer ({type(error).__name__})"
            ) from error
