"""Encryption of backups with age (https://age-encryption.org/v1): the `age` command opens them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from message_service import errors

FIELD = "backup_key_file"
"""The setting that names the file of keys; errors name it."""

_PRIVATE, _PUBLIC = "AGE-SECRET-KEY-", "age1"
_FIX = "Give a file of `age-keygen` or `backup keygen`: a line with AGE-SECRET-KEY-... or age1..."
_MOST_BYTES = 64 * 1024


class Key:
    """A key: its public part encrypts, its private part, where it is known, decrypts.

    Args:
        public: The public part, `age1...`.
        private: The private part, `AGE-SECRET-KEY-...`.
    """

    def __init__(self, public: str, private: str | None) -> None:
        age = _age()
        self._age = age
        try:
            self._recipient = age.x25519.Recipient.from_str(public)
            self._identity = None if private is None else age.x25519.Identity.from_str(private)
        except age.RecipientError:
            raise errors.InvalidInput(FIELD, "holds no valid public key", _FIX) from None
        except age.IdentityError:
            raise errors.InvalidInput(FIELD, "holds no valid private key", _FIX) from None
        self.public = public
        self.name = hashlib.sha256(public.encode()).hexdigest()[:16]

    @classmethod
    def read(cls, path: Path) -> Key:
        """Return the key of a file.

        Raises:
            InvalidInput: The file cannot be read or holds no key, or pyrage is not installed.
        """
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise errors.InvalidInput(FIELD, f"cannot be read ({reason})", _FIX) from None
        lines = [line.strip() for line in text.splitlines()]
        private = next((line for line in lines if line.startswith(_PRIVATE)), None)
        public = next((line for line in lines if line.startswith(_PUBLIC)), None)
        if private is not None:
            age = _age()
            try:
                public = str(age.x25519.Identity.from_str(private).to_public())
            except age.IdentityError:
                raise errors.InvalidInput(FIELD, "holds no valid private key", _FIX) from None
        if public is None:
            raise errors.InvalidInput(FIELD, "holds no key", _FIX)
        return cls(public, private)

    def encrypt(self, data: bytes) -> bytes:
        """Return the bytes encrypted."""
        return self._age.encrypt(data, [self._recipient])

    def check_opens(self) -> None:
        """Check that the private part is known.

        Raises:
            InvalidInput: It is not.
        """
        if self._identity is None:
            raise errors.InvalidInput(
                FIELD,
                "holds only a public key, which cannot open backups",
                "Give the file with the line AGE-SECRET-KEY-...",
            )

    def decrypt(self, data: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            InvalidInput: The private part of the key is not known.
            BackupDamaged: The bytes were changed.
        """
        self.check_opens()
        try:
            return self._age.decrypt(data, [self._identity])
        except self._age.DecryptError:
            raise errors.BackupDamaged("bytes that the key does not open") from None


def new_key() -> str:
    """Return the text of a new file of keys."""
    identity = _age().x25519.Identity.generate()
    return f"# public key: {identity.to_public()}\n{identity}\n"


def _age() -> Any:
    try:
        import pyrage  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise errors.InvalidInput(
            FIELD, "needs pyrage", "Install message-service[backup]"
        ) from None
    return pyrage
