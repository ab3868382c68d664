"""The guard between skills and the network: only public addresses, checked where it connects.

A host name is resolved here, every address it resolves to is judged, and the connection is made
to one of the judged addresses. Nothing resolves the name a second time, so an answer that changes
in between (rebinding) cannot reach another address; redirects open connections the same way.
Unusual spellings (`0x7f000001`, `2130706433`, `127.1`) are judged by what they resolve to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext

import httpcore
import httpx

Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that is assigned
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_NEVER = (
    ip_network("192.0.0.0/24"),  # protocol assignments, Oracle's metadata service
    ip_network("192.88.99.0/24"),  # 6to4 relays
    ip_network("168.63.129.16/32"),  # Azure's host service: public by number only
    ip_network("3fff::/20"),  # documentation, RFC 9637
)


class BlockedAddress(Exception):
    """The host resolves to an address that is not public and not allowed."""

    def __init__(self, host: str, port: int, address: str) -> None:
        self.host, self.port, self.address = host, port, address
        super().__init__(f"{host}:{port} is {address}, which is not a public address")


def is_public(text: str) -> bool:
    """Whether an IP address may be fetched: globally routable unicast, also in the IPv4 address
    that a mapped, 6to4 or NAT64 form carries. Raises `ValueError` for what is no address.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = _carried(address)
        return is_public(str(inner)) if inner else address in _GLOBAL_UNICAST and _ordinary(address)
    return _ordinary(address)


def _ordinary(address: IPv4Address | IPv6Address) -> bool:
    special = address.is_multicast or any(address in network for network in _NEVER)
    return address.is_global and not special


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host, in the resolver's order. Raises `httpcore.ConnectError`."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """An httpcore network that opens connections to judged addresses only, through `inner`.

    `allowed` lists `host:port` pairs, as written in URLs, that are exempt.
    """

    def __init__(
        self,
        inner: httpcore.AsyncNetworkBackend,
        allowed: Iterable[str],
        resolve: Resolve = resolve,
    ) -> None:
        self._inner = inner
        self._allowed = frozenset(entry.strip().lower() for entry in allowed)
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first reachable address. Raises `BlockedAddress` if any is not public."""
        addresses = await self._resolve(host, port)
        if not self._exempt(host, port):
            for address in addresses:
                if not is_public(address):
                    raise BlockedAddress(host, port, address)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: URLs name hosts. Raises `BlockedAddress`."""
        raise BlockedAddress(path, 0, "a local socket")

    async def sleep(self, seconds: float) -> None:
        """Wait between connection attempts, as httpcore asks for."""
        await self._inner.sleep(seconds)

    def _exempt(self, host: str, port: int) -> bool:
        host = host.lower()
        return f"{host}:{port}" in self._allowed or f"[{host}]:{port}" in self._allowed


def guarded_client(allowed: Iterable[str]) -> httpx.AsyncClient:
    """A client for one call: guarded, no proxies or credentials from the environment, no
    redirects on its own, no timeouts (the caller holds the deadline).
    """
    transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    install_guard(transport, allowed)
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - the caller holds one deadline for everything
    )


def install_guard(transport: httpx.AsyncHTTPTransport, allowed: Iterable[str]) -> None:
    """Put the guard between a transport and its network. httpx has no public way to, so this
    checks that the private place is still the one that matters, and raises `RuntimeError` instead
    of going unguarded.
    """
    pool = getattr(transport, "_pool", None)
    inner = getattr(pool, "_network_backend", None)
    if not isinstance(pool, httpcore.AsyncConnectionPool) or not isinstance(
        inner, httpcore.AsyncNetworkBackend
    ):
        raise RuntimeError("this httpx keeps its network elsewhere: the SSRF guard cannot stand")
    guard = GuardedBackend(inner, allowed)
    pool._network_backend = guard  # pyright: ignore[reportPrivateUsage] - no public way, see above


@cache
def _tls() -> SSLContext:
    """Reading the certificate authorities takes milliseconds: once per process."""
    return httpx.create_ssl_context(trust_env=False)
