"""Keys: their form, what is stored, and for how long a front believes what it read."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from aos.api.auth import (
    CACHE_SECONDS,
    KeyInvalid,
    KeyMissing,
    KeyStore,
    RoleTooNarrow,
    presented_key,
    require,
)
from aos.cluster.identity import Principal, Role
from aos.cluster.postgres import Database


class Table:
    """The keys' table, as far as the store uses it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.reads = 0

    async def execute(self, query: str, key_id: str, tenant: str, secret: bytes, *rest: str) -> str:
        role, _ = rest
        self.rows[key_id] = {
            "tenant_id": tenant, "secret_hash": secret, "role": role, "revoked_at": None,
        }  # fmt: skip
        return "INSERT 0 1"

    async def fetch_one(self, query: str, key_id: str) -> dict[str, Any] | None:
        self.reads += 1
        return self.rows.get(key_id)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def a_store() -> tuple[KeyStore, Table, Time]:
    table, time = Table(), Time()
    return KeyStore(cast(Database, table), now=time), table, time


async def test_a_key_has_a_fixed_form_and_only_its_hash_is_stored() -> None:
    keys, table, _ = a_store()
    key = await keys.create("default", Role.ADMIN, "mine")
    assert re.fullmatch(r"aos_[A-Za-z0-9_-]{8}_[A-Za-z0-9_-]{43}", key)
    secret = key[-43:]
    assert secret not in repr(table.rows)
    assert len(table.rows[key[4:12]]["secret_hash"]) == 32
    assert await keys.authenticate(key) == Principal("default", key[4:12], Role.ADMIN)


async def test_a_valid_key_is_believed_for_a_moment_and_then_read_again() -> None:
    keys, table, time = a_store()
    key = await keys.create("default", Role.VIEWER, "mine")
    for _ in range(3):
        await keys.authenticate(key)
    assert table.reads == 1
    table.rows[key[4:12]]["revoked_at"] = "now"
    time.now += CACHE_SECONDS
    with pytest.raises(KeyInvalid):
        await keys.authenticate(key)


async def test_a_refusal_is_never_remembered() -> None:
    keys, table, _ = a_store()
    wrong = "aos_12345678_" + "x" * 43
    for _ in range(2):
        with pytest.raises(KeyInvalid):
            await keys.authenticate(wrong)
    assert table.reads == 2


async def test_the_memory_of_keys_is_bounded() -> None:
    keys, _, _ = a_store()
    for _ in range(1_030):
        await keys.authenticate(await keys.create("default", Role.VIEWER, "x"))
    assert len(keys._believed) <= 1_024


@pytest.mark.parametrize("key", ["", "x", "aos_", "aos_1_x", "AOS_12345678_" + "x" * 43, "é" * 56])
async def test_what_does_not_look_like_a_key_never_reaches_the_database(key: str) -> None:
    keys, table, _ = a_store()
    with pytest.raises(KeyInvalid):
        await keys.authenticate(key)
    assert table.reads == 0


def test_where_a_key_may_stand() -> None:
    assert presented_key("Bearer k", None) == "k"
    assert presented_key("bearer  k ", None) == "k"
    assert presented_key(None, "k") == "k"
    assert presented_key("Bearer one", "two") == "one"
    assert presented_key("Basic x", "k") == "k"
    for nothing in ((None, None), ("", ""), ("Basic x", None), ("Bearer ", None)):
        with pytest.raises(KeyMissing):
            presented_key(*nothing)


def test_roles_include_the_narrower_ones() -> None:
    roles = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    for has in roles:
        for needs in roles:
            principal = Principal("default", "k", has)
            if roles.index(has) >= roles.index(needs):
                assert require(principal, needs) is principal
            else:
                with pytest.raises(RoleTooNarrow):
                    require(principal, needs)
