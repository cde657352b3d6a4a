"""Opens what fsspec can reach: folders, buckets, and others, by a URL."""

from __future__ import annotations

from typing import Any

from message_service import errors


def open_filesystem(url: str, field: str, extra: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the place in it.

    Args:
        url: For example `s3://bucket/folder`. Access keys belong into fsspec's own configuration.
        field: The setting it comes from, for errors.
        extra: The extra of this package that brings fsspec.

    Raises:
        InvalidInput: fsspec is not installed, or does not know such a URL.
    """
    try:
        import fsspec  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise errors.InvalidInput(
            field, "needs fsspec", f"Install message-service[{extra}]"
        ) from None
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)  # pyright: ignore
    except (ValueError, ImportError) as error:
        # The URL may hold a password, and such errors quote it.
        raise errors.InvalidInput(
            field,
            f"cannot be opened ({type(error).__name__})",
            "Give a URL that fsspec knows, and install what it needs",
        ) from None
    return found
