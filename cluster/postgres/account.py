"""Who the embedded server runs as, and whether that user can reach what it needs.

Postgres refuses to run as root. For root the server therefore runs as another, existing user: the
owner of the data directory, else the one asked for, else `postgres`, else `nobody`. No user is ever
made, and the mode of a directory that was there before is never changed.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedPostgresUnreachable


@dataclass(frozen=True, slots=True)
class Account:
    """The OS user of the server; `foreign` if it is not the caller."""

    name: str
    uid: int
    gid: int
    foreign: bool

    def may(self, path: Path, need: int) -> bool:
        """Whether the mode of `path` grants this user `need` (of 4 read, 2 write, 1 execute/enter).

        An access list that grants more than the mode is not seen.
        """
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return (stat.S_IMODE(found.st_mode) >> shift) & need == need

    def closed_parent(self, path: Path) -> Path | None:
        """The topmost existing directory above `path` that this user may not enter."""
        for way in (path, path.resolve()):  # through a symbolic link both ways must be open
            for parent in reversed(way.parents):
                if parent.exists() and not self.may(parent, 1):
                    return parent
        return None


def server_account(data: Path, os_user: str | None) -> Account:
    """Who runs the server on this data directory, which need not exist yet.

    Raises `EmbeddedPostgresUnreachable` if the directory belongs to somebody the caller cannot act
    for, or if no suitable user exists.
    """
    caller = os.geteuid()
    owner = _owner(data)
    if caller != 0:
        if owner not in (None, caller):
            raise EmbeddedPostgresUnreachable.at(
                data, f"belongs to {_name(owner)}", "run AOS as that user"
            )
        return Account(_name(caller), caller, os.getegid(), foreign=False)
    if owner == 0:
        remedy = "give it to another user: chown -R postgres"
        raise EmbeddedPostgresUnreachable.at(
            data, "belongs to root, as whom Postgres refuses to run", remedy
        )
    if owner is not None:
        return Account(_name(owner), owner, data.stat().st_gid, foreign=True)
    for name in (os_user,) if os_user else ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, foreign=True)
    remedy = "set AOS_POSTGRES_OS_USER to an existing user other than root"
    raise EmbeddedPostgresUnreachable.at(
        data, f"has no user to run as ({os_user or 'postgres, nobody'})", remedy
    )


def check_reachable(data: Path, account: Account) -> None:
    """Raise `EmbeddedPostgresUnreachable` if the server's user cannot enter a directory above the
    data directory. Directories that do not exist yet will be made enterable.
    """
    if account.foreign and (closed := account.closed_parent(data)) is not None:
        raise EmbeddedPostgresUnreachable.at(
            closed,
            f"cannot be entered by {account.name}, the server's user",
            "set AOS_HOME to a directory that it can enter, such as /var/lib/aos",
        )


def make_folders(folder: Path, account: Account) -> None:
    """Make a directory and what is missing above it, enterable by the server's user."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(0o711 if account.foreign else 0o700)
    except OSError as error:
        reason = f"cannot be made ({error.strerror})"
        remedy = "set AOS_HOME to a directory that you can write to"
        raise EmbeddedPostgresUnreachable.at(Path(error.filename), reason, remedy) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EmbeddedPostgresUnreachable.at(
            folder, "is not writable for you", "run AOS as the user who owns it"
        )


def _owner(data: Path) -> int | None:
    try:
        return data.stat().st_uid
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedPostgresUnreachable.at(
            data,
            f"cannot be seen ({error.strerror})",
            "run AOS as the user who owns it, or set AOS_HOME to a directory of yours",
        ) from None


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid if uid is not None else -1).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
