"""Golden recordings: a trace with a detached Ed25519 signature beside it.

Asymmetric on purpose: who checks a recording needs no secret, so recordings can be published with
the public key. The private key is made on first use, lies in the installation's home, is readable
by its owner only, and is never printed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature as Refused
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .errors import InvalidSignature, UnusableKey

FORMAT = "aos-signature/1"
KEY_FILE, PUBLIC_FILE = "golden.key", "golden.pub"
_DOMAIN = b"aos-golden/1\n"
"""Before what is signed: a signature of ours means nothing else to anybody else."""


class Signer:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def make(cls) -> Self:
        """A new one."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_home(cls, home: Path) -> Self:
        """The installation's, made on first use. Raises `UnusableKey`."""
        file = home / KEY_FILE
        with suppress(FileExistsError):
            _write_private(file, cls.make()._key.private_bytes_raw())
        signer = cls(_read_private(file))
        (home / PUBLIC_FILE).write_text(signer.public_key + "\n")
        return signer

    @property
    def public_key(self) -> str:
        """What others check with: 32 bytes in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """The text of a signature's file."""
        made = base64.b64encode(self._key.sign(_DOMAIN + content)).decode()
        about = {"format": FORMAT, "algorithm": "ed25519", "key": self.public_key}
        return json.dumps(about | {"signature": made}) + "\n"


def check_signature(content: bytes, signature: str, trusted: Iterable[str]) -> str:
    """The trusted key that signed this content. Raises `InvalidSignature`."""
    try:
        about: Any = json.loads(signature)
        named, made = base64.b64decode(about["key"]), base64.b64decode(about["signature"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InvalidSignature("the signature's file is not one") from None
    for text in trusted:
        if hmac.compare_digest(_public(text), named):
            try:
                Ed25519PublicKey.from_public_bytes(named).verify(made, _DOMAIN + content)
            except (Refused, ValueError):
                raise InvalidSignature("it was changed after it was signed") from None
            return text
    raise InvalidSignature("it is signed with a key that is not trusted here")


def trusted_keys(file: Path) -> list[str]:
    """The public keys in a file, one a line. Raises `UnusableKey`."""
    try:
        lines = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableKey(f"{file}: {error}") from None
    for line in lines:
        _public(line)
    return lines


def _public(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != 32:
        raise UnusableKey("a public key is 32 bytes in base64, one a line")
    return raw


def _write_private(file: Path, raw: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(base64.b64encode(raw))


def _read_private(file: Path) -> Ed25519PrivateKey:
    try:
        with file.open("rb") as stream:
            if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
                raise UnusableKey(f"{file} can be read by others than its owner")
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(stream.read()))
    except (OSError, ValueError) as error:
        raise UnusableKey(f"{file}: {type(error).__name__}") from None
