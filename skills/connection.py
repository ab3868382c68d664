"""What kept a connection from working, told by the types along an exception's chain of causes.

HTTP libraries wrap what the operating system said; the taxonomy's codes are about the latter.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from socket import gaierror

_UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})


def connection_code(error: BaseException) -> str:
    """ERR_SSL, ERR_DNS_FAILURE, ERR_TIMEOUT, ERR_CONNECTION_REFUSED, or ERR_CONNECTION_LOST."""
    chain = tuple(_causes(error))
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return "ERR_SSL"
    if any(isinstance(each, (gaierror, UnicodeError)) for each in chain):
        return "ERR_DNS_FAILURE"
    if any(isinstance(each, TimeoutError) for each in chain):
        return "ERR_TIMEOUT"
    if any(isinstance(each, OSError) and each.errno in _UNREACHABLE for each in chain):
        return "ERR_CONNECTION_REFUSED"
    return "ERR_CONNECTION_LOST"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
