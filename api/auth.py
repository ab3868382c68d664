"""API keys: who is asking, and what they may do.

A key is `aos_<id>_<secret>`: an id of 8 characters by which its row is found, and 256 random bits
of which only the SHA-256 is stored. No slow hash: there is no guessing 256 bits. A revoked key is
refused at the latest `CACHE_SECONDS` after its revocation: so long a front believes what it read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from ..cluster.errors import AccessError
from ..cluster.identity import DEFAULT_TENANT, Principal, Role
from ..cluster.postgres import Database, Queries

QUERIES = Queries.load(Path(__file__).with_name("keys.sql"))
CACHE_SECONDS = 5.0

_CACHED_KEYS = 1_024
_KEY = re.compile(r"aos_([A-Za-z0-9_-]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").digest()


class KeyMissing(AccessError):
    """The request carries no API key."""

    code = "AOS-2001"
    title = "This needs an API key."
    next_action = (
        "Send `Authorization: Bearer aos_…`; `aos up` has stored a key in $AOS_HOME/credentials."
    )


class KeyInvalid(AccessError):
    """The API key is unknown, wrong or revoked. Which of these is not told."""

    code = "AOS-2002"
    title = "The API key is not valid."
    next_action = "Use the key in $AOS_HOME/credentials, or unset AOS_API_KEY if it is an old one."


class RoleTooNarrow(AccessError):
    """The key is valid, its role does not include this."""

    code = "AOS-2003"
    title = "The role of this API key does not allow this."
    next_action = "Use a key with the role that is named above."


class CodeNotWelcome(AccessError):
    """The tenant is not one of those that may bring code."""

    code = "AOS-2005"
    title = "This tenant may not bring programs of its own."
    next_action = "Have an operator of AOS add the tenant to AOS_PROGRAM_TENANTS, and restart it."


class KeyStore:
    """Makes, judges and revokes keys."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._believed: dict[bytes, tuple[float, Principal]] = {}

    async def create(self, tenant: str, role: Role, name: str) -> str:
        """Make a key and return it: the only time that it can be seen."""
        key_id, secret = secrets.token_urlsafe(6), secrets.token_urlsafe(32)
        await self._database.execute(
            QUERIES.create_key, key_id, tenant, _digest(secret), role.value, name
        )
        return f"aos_{key_id}_{secret}"

    async def revoke(self, tenant: str, key_id: str) -> bool:
        """Refuse a key from now on; whether the tenant has such a key."""
        revoked = await self._database.fetch_value(QUERIES.revoke_key, tenant, key_id)
        self._believed.clear()
        return revoked is not None

    async def authenticate(self, key: str) -> Principal:
        """Whose key this is. Raises `KeyInvalid`."""
        cache_key = _digest(key)
        until, principal = self._believed.get(cache_key, (0.0, None))
        if principal is not None and self._now() < until:
            return principal
        principal = await self._judge(key)
        if len(self._believed) >= _CACHED_KEYS:
            self._believed.clear()
        self._believed[cache_key] = (self._now() + CACHE_SECONDS, principal)
        return principal

    async def _judge(self, key: str) -> Principal:
        if (match := _KEY.fullmatch(key)) is None:
            raise KeyInvalid("this is not an AOS key: those look like aos_…_…")
        key_id, secret = match.groups()
        row = await self._database.fetch_one(QUERIES.find_key, key_id)
        # Compared in any case, so that a known id and an unknown one take equally long.
        fits = hmac.compare_digest(_digest(secret), row["secret_hash"] if row else _NOBODY)
        if row is None or not fits or row["revoked_at"] is not None:
            raise KeyInvalid("the key is unknown, wrong or revoked")
        return Principal(row["tenant_id"], key_id, Role(row["role"]))


def sees_platform(principal: Principal) -> bool:
    """Whether the platform itself is this principal's to see: its processes, and the agents of all
    tenants. That is an admin of the default tenant, such as the key that `aos up` makes. An admin
    of another tenant is one there only: tenants never see each other.
    """
    return principal.tenant == DEFAULT_TENANT and principal.may(Role.ADMIN)


def require_platform(principal: Principal) -> Principal:
    """The principal, if the platform is its to see and change. Raises `RoleTooNarrow`."""
    if not sees_platform(principal):
        raise RoleTooNarrow(f"this needs an admin's key of the tenant {DEFAULT_TENANT}")
    return principal


def presented_key(authorization: str | None, own_header: str | None) -> str:
    """The key of a request: `Authorization: Bearer …`, else `X-AOS-Key`. Raises `KeyMissing`."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if own_header:
        return own_header.strip()
    if authorization:
        raise KeyMissing("the Authorization header is not `Bearer <key>`")
    raise KeyMissing


def require(principal: Principal, role: Role) -> Principal:
    """The principal, if its role includes this one. Raises `RoleTooNarrow`."""
    if not principal.may(role):
        raise RoleTooNarrow(f"this needs the role {role}, the key has {principal.role}")
    return principal


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
