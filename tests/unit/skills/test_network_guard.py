from __future__ import annotations

from collections.abc import Iterable

import httpcore
import httpx
import pytest
from tests.support.skill_calls import run, settings

from aos.skills.builtin import http_call, network
from aos.skills.builtin.network import (
    BlockedAddress,
    GuardedBackend,
    guarded_client,
    install_guard,
    is_public,
    resolve,
)
from aos.skills.contracts import EffectState

PUBLIC = "93.184.216.34"


class Recorder(httpcore.AsyncNetworkBackend):
    """A network that notes where it was asked to connect, and connects to nothing."""

    def __init__(self, failing: Iterable[str] = ()) -> None:
        self.connected: list[tuple[str, int]] = []
        self.failing = frozenset(failing)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self.failing:
            raise httpcore.ConnectError("refused")
        return httpcore.AsyncNetworkStream()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def answering(*answers: tuple[str, ...]) -> network.Resolve:
    """A resolver that gives the next answer each time: what a rebinding attacker's does."""
    queue = list(answers)

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return queue.pop(0)

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.100.100.200", "100.64.0.1", "192.0.0.192", "168.63.129.16",
        "192.88.99.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
        "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "::ffff:0:127.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378::1",
        "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "1.1.1.1",
        "2606:4700::1111",
        f"::ffff:{PUBLIC}",
        f"64:ff9b::{PUBLIC}",
        "2002:102:304::",
    ],
)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1", "::1"]
)
async def test_hosts_that_spell_this_machine(host: str) -> None:
    recorder = Recorder()
    with pytest.raises(BlockedAddress) as caught:
        await GuardedBackend(recorder, ()).connect_tcp(host, 80)
    assert (caught.value.port, recorder.connected) == (80, [])


async def test_what_was_checked_is_what_is_connected_to() -> None:
    recorder = Recorder()
    guard = GuardedBackend(recorder, (), answering((PUBLIC,), ("127.0.0.1",)))
    await guard.connect_tcp("rebinding.example", 443)
    assert recorder.connected == [(PUBLIC, 443)]


async def test_one_private_answer_among_public_ones_is_refused() -> None:
    recorder = Recorder()
    guard = GuardedBackend(recorder, (), answering((PUBLIC, "10.0.0.1")))
    with pytest.raises(BlockedAddress, match=r"mixed\.example:443 is 10\.0\.0\.1"):
        await guard.connect_tcp("mixed.example", 443)
    assert recorder.connected == []


async def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    recorder = Recorder(failing=["1.1.1.1"])
    await GuardedBackend(recorder, (), answering(("1.1.1.1", PUBLIC))).connect_tcp("x.example", 80)
    assert recorder.connected == [("1.1.1.1", 80), (PUBLIC, 80)]


async def test_the_last_refusal_is_raised() -> None:
    guard = GuardedBackend(Recorder(failing=[PUBLIC]), (), answering((PUBLIC,), ()))
    for complaint in ("refused", "has no address"):
        with pytest.raises(httpcore.ConnectError, match=complaint):
            await guard.connect_tcp("x.example", 80)


@pytest.mark.parametrize(
    ("allowed", "host", "port", "passes"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 8081, False),
        ("127.0.0.1:8080", "localhost", 8080, False),
        ("Intranet.Example:80", "intranet.EXAMPLE", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("::1:80", "::1", 80, True),
        ("127.0.0.1", "127.0.0.1", 80, False),
    ],
)
async def test_the_allow_list_names_host_and_port(
    allowed: str, host: str, port: int, passes: bool
) -> None:
    recorder = Recorder()
    guard = GuardedBackend(recorder, (allowed,), answering(("127.0.0.1",)))
    if passes:
        await guard.connect_tcp(host, port)
    else:
        with pytest.raises(BlockedAddress):
            await guard.connect_tcp(host, port)
    assert bool(recorder.connected) is passes


async def test_local_sockets_are_refused() -> None:
    with pytest.raises(BlockedAddress):
        await GuardedBackend(Recorder(), ()).connect_unix_socket("/run/docker.sock")


async def test_a_name_that_no_resolver_can_take() -> None:
    with pytest.raises(httpcore.ConnectError):
        await resolve("a" * 70 + ".example", 80)


async def test_the_guard_is_what_the_client_connects_through() -> None:
    """The place it is put is private to httpx: this fails when httpx moves it."""
    async with guarded_client(()) as client:
        with pytest.raises(BlockedAddress):
            await client.get("http://127.0.0.1:9/")


def test_an_httpx_without_that_place_is_refused() -> None:
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    del transport._pool._network_backend
    with pytest.raises(RuntimeError, match="cannot stand"):
        install_guard(transport, ())


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://10.0.0.1:3128")
    monkeypatch.setenv("ALL_PROXY", "http://10.0.0.1:3128")
    outcome = await run(http_call, {"url": "http://localhost:9/"})
    assert (outcome.code, outcome.effect) == ("ERR_BLOCKED_ADDRESS", EffectState.NONE)
    assert "localhost:9 is " in outcome.message


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = await run(http_call, {"url": "http://no-such-host.invalid/", "method": "POST"})
    assert (outcome.code, outcome.effect) == ("ERR_DNS_FAILURE", EffectState.NONE)
    assert outcome.retryable
    assert settings().private_hosts_allowed == ()
