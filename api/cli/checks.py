"""What `aos doctor` looks at. Each check stands alone, changes nothing, and says what to do."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

import psutil

from ...cluster.errors import AosError
from ...cluster.memory import LimitNotEnforced, limited
from ...cluster.postgres import Database, EmbeddedPostgres, dsn_of
from ...cluster.postgres import status as schema_status
from ...cluster.settings import Settings
from ..client import AosClient, ApiError, NotRunning
from .words import size

_MIB = 1024 * 1024
_CONNECT_SECONDS = 3.0
_IMPORT_SECONDS = 60.0
_START = "Start it with `aos up`."
_BESIDE_SETTINGS = {"AOS_URL", "AOS_API_KEY", "AOS_FAULTS_DIR"}
_SKILLS = """
import json
from importlib.metadata import entry_points
from aos.skills.builtin import BUILTIN
from aos.skills.registry import ENTRY_POINT_GROUP, default_registry
shipped = {each.descriptor.ref for each in BUILTIN}
refs = {each.ref for each in default_registry().descriptors()}
points = sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP))
print(json.dumps([sorted(shipped), sorted(refs - shipped), points]))
"""


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding, and what to do about it unless it is fine."""

    name: str
    level: Level
    detail: str
    next_action: str = ""


def python() -> Check:
    """The interpreter."""
    return Check("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def home(settings: Settings) -> Check:
    """Whether the home can be written, and its key is private."""
    folder = settings.home
    existing = _existing(folder)
    if not os.access(existing, os.W_OK | os.X_OK):
        action = f"Give yourself write access to {existing}, or set AOS_HOME to another directory."
        return Check("home", Level.FAIL, f"{folder} cannot be written", action)
    credentials = folder / "credentials"
    if credentials.exists() and stat.S_IMODE(credentials.stat().st_mode) & 0o077:
        return Check(
            "home", Level.FAIL, f"others can read {credentials}", f"Run `chmod 600 {credentials}`."
        )
    made = "" if folder.exists() else ", not made yet"
    return Check("home", Level.OK, f"{folder}{made}")


def disk(settings: Settings) -> Check:
    """Room for the data directory."""
    return _room(
        "disk", shutil.disk_usage(_existing(settings.home)).free, 200 * _MIB, 1024 * _MIB,
        "Free some space: Postgres stops when the disk is full.",
    )  # fmt: skip


def memory() -> Check:
    """Room for processes: an AOS with a few agents takes about a gigabyte."""
    return _room(
        "memory", psutil.virtual_memory().available, 300 * _MIB, 1024 * _MIB,
        "End other programs: when memory runs out, skills and agents are ended first.",
    )  # fmt: skip


def limits() -> Check:
    """Whether the kernel holds processes to their memory limits."""
    try:
        with limited(256 * _MIB):
            return Check("limits", Level.OK, "memory limits of skills and agents are enforced")
    except LimitNotEnforced as error:
        return Check("limits", Level.FAIL, error.detail, error.next_action)


def postgres(settings: Settings) -> Check:
    """Whether the database answers, and which schema it has."""
    try:
        if settings.embedded:
            server = EmbeddedPostgres(settings.home, os_user=settings.postgres_os_user)
            if not server.status().running:
                return Check("postgres", Level.WARN, "the embedded server is not running", _START)
        return asyncio.run(_schema(dsn_of(settings)))
    except AosError as error:
        return Check("postgres", Level.FAIL, str(error), error.next_action)


def ray() -> Check:
    """Whether Ray can be imported: in a process of its own, which it could take down."""
    program = "import ray; print(ray.__version__)"
    try:
        done = _python(program)
    except subprocess.TimeoutExpired:
        return Check(
            "ray", Level.FAIL, f"not imported within {_IMPORT_SECONDS:g} s", "Look at the load."
        )
    if done.returncode:
        action = 'Install it again: `pip install "ray[default]"`.'
        return Check("ray", Level.FAIL, _last_words(done.stderr), action)
    return Check("ray", Level.OK, done.stdout.strip())


def variables() -> Check:
    """Whether each `AOS_*` variable means something: a misspelt limit is one that does not hold."""
    known = {f"AOS_{name.upper()}" for name in Settings.model_fields} | _BESIDE_SETTINGS
    unknown = sorted(name for name in os.environ if name.startswith("AOS_") and name not in known)
    if not unknown:
        return Check("variables", Level.OK, "every AOS_* variable is known")
    near = [get_close_matches(name, known, n=1) for name in unknown]
    meant = [f"{name} (did you mean {match[0]}?)" if match else name
             for name, match in zip(unknown, near, strict=True)]  # fmt: skip
    action = "Correct or remove them; `docs/reference/configuration.md` has them all."
    return Check("variables", Level.WARN, f"nobody reads {', '.join(meant)}", action)


def skills() -> Check:
    """Which skills there are, and from which plug-ins: read in a process of its own, since a
    plug-in's import runs foreign code.
    """
    name, action = "skills", "Correct or uninstall the plug-in; without its skills nothing starts."
    try:
        done = _python(_SKILLS)
    except subprocess.TimeoutExpired:
        return Check(name, Level.FAIL, f"not read within {_IMPORT_SECONDS:g} s", action)
    if done.returncode:
        return Check(name, Level.FAIL, _last_words(done.stderr), action)
    shipped, plugged, plugins = json.loads(done.stdout.splitlines()[-1])
    detail = f"{len(shipped)} built in"
    if plugins:
        detail += f"; {', '.join(plugged) or 'none'} from {', '.join(plugins)}"
    return Check(name, Level.OK, detail)


def front() -> Check:
    """Whether the HTTP front answers and takes our key."""
    try:
        with AosClient() as aos:
            aos.agents.list(limit=1)
            status = aos.status()
    except NotRunning as error:
        return Check("http", Level.WARN, error.detail, error.next_action)
    except (AosError, ApiError) as error:
        return Check("http", Level.FAIL, str(error), error.next_action)
    if status.problems:
        return Check("http", Level.FAIL, "; ".join(status.problems), "Look at `aos status`.")
    return Check("http", Level.OK, f"{aos.url} answers, the API key is valid")


def model(settings: Settings) -> Check:
    """Who thinks."""
    if settings.anthropic_api_key is None:
        return Check(
            "model", Level.OK, "offline: rules plan and the scripted model writes; for Claude set "
            "ANTHROPIC_API_KEY and restart",
        )  # fmt: skip
    return Check("model", Level.OK, f"Claude, {settings.anthropic_model}")


WITHOUT_SETTINGS: tuple[Callable[[], Check], ...] = (
    python, ray, skills, variables, memory, limits,
)  # fmt: skip
WITH_SETTINGS: tuple[Callable[[Settings], Check], ...] = (home, disk, model, postgres)


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter and a constant
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=_IMPORT_SECONDS,
        check=False,
    )


def _last_words(stderr: str) -> str:
    return (stderr.strip().splitlines() or ["no reason given"])[-1][:200]


async def _schema(dsn: str) -> Check:
    async with Database(dsn, application_name="aos-doctor") as database:
        await database.wait_ready(_CONNECT_SECONDS)
        schema = await schema_status(database)
    if schema.pending:
        waiting = ", ".join(schema.pending)
        return Check("postgres", Level.WARN, f"to be migrated: {waiting}", "`aos up` migrates it.")
    return Check("postgres", Level.OK, f"answers, schema {schema.applied[-1].name}")


def _room(name: str, free: float, needed: float, wanted: float, action: str) -> Check:
    level = Level.FAIL if free < needed else Level.WARN if free < wanted else Level.OK
    return Check(name, level, f"{size(free)} free", "" if level is Level.OK else action)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
