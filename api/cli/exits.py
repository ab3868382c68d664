"""Errors as people read them, and the exit codes that scripts read."""

from __future__ import annotations

import sys

from ...cluster.errors import AosError, InputError
from ..client.errors import ApiError, NoCredentials, NotRunning

OK, FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def explain(error: AosError | ApiError) -> int:
    """Print an error and its next action to standard error; the exit code it stands for."""
    print(f"error {error.code}: {error.detail}", file=sys.stderr)
    if isinstance(error, ApiError):
        for field in error.errors:
            print(f"  {field.get('field', '')}: {field.get('message', '')}", file=sys.stderr)
    if error.next_action:
        print(f"next: {error.next_action}", file=sys.stderr)
    return exit_code(error)


def exit_code(error: AosError | ApiError) -> int:
    """What an error means to a script."""
    if isinstance(error, ApiError):
        return REFUSED if 400 <= error.status < 500 else UNREACHABLE
    if isinstance(error, NotRunning):
        return UNREACHABLE
    if isinstance(error, NoCredentials):
        return REFUSED
    return USAGE if isinstance(error, InputError) else FAILED
