"""What a loop can do and a program cannot, with what to use instead."""

from __future__ import annotations

from .errors import NondeterministicProgram
from .lines import caller

CLOCK = "ctx.sleep, or asyncio.wait with a task of ctx.sleep"
_SKILL = "a skill (ctx.call)"
_NOTHING = "nothing: a program is run by AOS"

_BY_REASON: dict[str, tuple[str, ...]] = {
    CLOCK: ("call_later", "call_at"),
    _SKILL: (
        "call_soon_threadsafe", "run_in_executor", "set_default_executor",
        "getaddrinfo", "getnameinfo", "create_connection", "create_server", "sendfile",
        "start_tls", "create_unix_connection", "create_unix_server", "connect_accepted_socket",
        "create_datagram_endpoint", "connect_read_pipe", "connect_write_pipe",
        "subprocess_shell", "subprocess_exec", "add_reader", "remove_reader", "add_writer",
        "remove_writer", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into",
        "sock_sendall", "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile",
    ),
    "ctx.signal": ("add_signal_handler", "remove_signal_handler"),
    _NOTHING: (
        "run_forever", "run_until_complete", "stop", "shutdown_asyncgens",
        "shutdown_default_executor", "set_task_factory", "get_task_factory",
        "set_exception_handler", "get_exception_handler", "default_exception_handler", "set_debug",
    ),
}  # fmt: skip

REFUSED: dict[str, str] = {name: instead for instead, names in _BY_REASON.items() for name in names}
"""Methods of an event loop, and what a program uses instead of each."""


def refusal(what: str, instead: str, own: str) -> NondeterministicProgram:
    """The error for what the line of the program that is executing now does."""
    place = caller(own)
    where = f" at {place}" if place else ""
    detail = f"{what}{where}: use {instead}"
    return NondeterministicProgram(detail, what=what, instead=instead, line=place)
