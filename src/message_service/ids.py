"""Identifiers: one grammar, time-ordered values.

An identifier is a prefix and at least twelve ASCII letters or digits (`msg_01J9Z...`). The service
generates ULIDs (26 Crockford base-32 characters: 48 bits of milliseconds, 80 random bits), so that
identifiers sort by time and do not collide across shards. The examples in the source design have
nine characters after the prefix and would fail its validator; see `docs/deviations.md`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from enum import StrEnum

from message_service import clock, errors

DEFAULT_TENANT = "default"
"""The tenant of calls that name none."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
_SHIFTS = range(120, -10, -10)
_MAX_LENGTH = 128

TENANT_PATTERN = r"[a-z0-9][a-z0-9_-]{0,62}"
BRANCH_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
_TENANT = re.compile(TENANT_PATTERN)
_BRANCH = re.compile(BRANCH_PATTERN)


class IdKind(StrEnum):
    """The kinds of identifier; the value is the prefix."""

    MESSAGE = "msg"
    CONVERSATION = "conv"
    USER = "user"
    CHARACTER = "char"
    JOB = "job"

    @property
    def pattern(self) -> str:
        """The grammar as a regular expression without anchors, for validators and documents."""
        return rf"{self.value}_[a-zA-Z0-9]{{12,{_MAX_LENGTH}}}"


_COMPILED = {kind: re.compile(kind.pattern) for kind in IdKind}


def check_id(kind: IdKind, field: str, value: object) -> str:
    """Return `value` when it is a well-formed identifier of `kind`.

    Raises:
        InvalidId: The value is not a string or does not match the grammar (for example because of
            a trailing newline).
    """
    if isinstance(value, str) and _COMPILED[kind].fullmatch(value):
        return value
    shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
    if len(shown) > 60:
        shown = shown[:57] + "..."
    raise errors.InvalidId(
        field,
        f"{shown} is not a {kind.name.lower()} id",
        f"Use '{kind.value}_' followed by 12 to {_MAX_LENGTH} letters or digits",
    )


def check_tenant(value: object) -> str:
    """Return `value` when it is a tenant name: lower-case letters, digits, `_` and `-`, up to 63.

    Raises:
        InvalidId: The value is not a tenant name.
    """
    if isinstance(value, str) and _TENANT.fullmatch(value):
        return value
    raise errors.InvalidId(
        "tenant_id",
        "not a tenant name",
        "Use 1 to 63 lower-case letters, digits, '_' or '-', starting with a letter or digit",
    )


def check_branch(field: str, value: object) -> str:
    """Return `value` when it is a branch name: letters, digits and `._:-`, up to 128.

    Raises:
        InvalidId: The value is not a branch name.
    """
    if isinstance(value, str) and _BRANCH.fullmatch(value):
        return value
    raise errors.InvalidId(
        field,
        "not a branch name",
        "Use 1 to 128 letters, digits or '._:-', starting with a letter or digit",
    )


class IdFactory:
    """Makes time-ordered identifiers.

    Args:
        now: The clock that supplies the time part.
        random: Source of random bytes (`os.urandom`, or a seeded one in tests).
    """

    def __init__(self, now: clock.Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = now
        self._random = random
        self._last_ms = -1
        self._last_tail = 0

    def new(self, kind: IdKind) -> str:
        """Return a fresh identifier, greater than every one this factory made before."""
        ms = int(self._clock.now().timestamp() * 1000)
        if ms <= self._last_ms:
            # Same millisecond (or the clock was set back): increment, so that order is kept.
            ms, tail = self._last_ms, self._last_tail + 1
        else:
            tail = int.from_bytes(self._random(10)) >> 1  # headroom: increments cannot overflow
        self._last_ms, self._last_tail = ms, tail
        return f"{kind.value}_{_encode((ms << 80) | tail)}"


def derived_id(kind: IdKind, *parts: str) -> str:
    """Return the identifier derived from `parts`: the same parts always give the same one.

    Imports use derived identifiers to be idempotent.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return f"{kind.value}_{_encode(int.from_bytes(digest[:16]))}"


def _encode(number: int) -> str:
    """Encode 128 bits as 26 Crockford base-32 characters."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def checked_random(random: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return a source of random bytes whose results are checked.

    Raises:
        InvalidInput: It is no function.
    """
    if not callable(random):
        raise errors.InvalidInput("random", "is not a function", "Give one like os.urandom")

    def some(count: int) -> bytes:
        made = random(count)
        if not isinstance(made, bytes) or len(made) != count:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "random", f"returned something else than {count} bytes", "Give one like os.urandom"
            )
        return made

    return some
