"""The command line starts fast, and its help shows every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aos.api.cli import checks
from aos.api.cli.exits import exit_code
from aos.api.client.errors import ApiError, NoCredentials, NotRunning
from aos.api.errors import PortTaken
from aos.cluster.errors import AosError
from aos.cluster.settings import InvalidSettings

HEAVY = ("ray", "asyncpg", "fastapi", "httpx", "pydantic", "anthropic", "prometheus_client")
WITH_MODULES = """
import sys
sys.argv = ["aos", *sys.argv[1:]]
from aos.api.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("modules:", " ".join(sys.modules))
"""


def aos(
    *arguments: str, home: Path, program: str | None = None
) -> subprocess.CompletedProcess[str]:
    start = ("-c", program) if program else ("-m", "aos.api.cli.main")
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("AOS_", "DATABASE"))
    }
    return subprocess.run(
        [sys.executable, *start, *arguments],
        env={**environment, "AOS_HOME": str(home), "COLUMNS": "150"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", [("--help",), ("version",), ("--version",), ("runs", "--help")])
def test_help_and_version_import_nothing_heavy(command: tuple[str, ...], tmp_path: Path) -> None:
    done = aos(*command, home=tmp_path, program=WITH_MODULES)
    assert done.returncode == 0, done.stderr
    modules = {name.split(".")[0] for name in done.stdout.split("modules:")[1].split()}
    assert modules.isdisjoint(HEAVY)


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = aos("--help", home=tmp_path).stdout
    for name in (
        "up",
        "down",
        "status",
        "doctor",
        "demo",
        "run",
        "runs",
        "agent",
        "tree",
        "version",
    ):
        assert f" {name} " in shown


@pytest.mark.parametrize(
    "command",
    [
        ("run",), ("runs", "ls"), ("runs", "show"), ("runs", "watch"), ("agent", "create"),
        ("agent", "ls"), ("agent", "show"), ("agent", "release"), ("tree",), ("tree", "events"),
        ("status",), ("doctor",), ("version",), ("up",),
        ("down",),
    ],
)  # fmt: skip
def test_every_command_has_help_and_json(command: tuple[str, ...], tmp_path: Path) -> None:
    done = aos(*command, "--help", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


def test_a_run_with_nothing_up_says_what_to_do(tmp_path: Path) -> None:
    done = aos("run", "x", "--agent", "researcher", home=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error AOS-6102: ")
    assert done.stderr.rstrip().splitlines()[-1].startswith("next: Start it with `aos up`")


def test_doctor_works_with_nothing_up(tmp_path: Path) -> None:
    done = aos("doctor", home=tmp_path / "not" / "there")
    assert done.returncode == 0, done.stdout
    for name in (
        "python",
        "ray",
        "skills",
        "variables",
        "memory",
        "settings",
        "home",
        "disk",
        "model",
        "postgres",
        "http",
    ):
        assert f" {name} " in done.stdout
    assert "next: Start it with `aos up`." in done.stdout


def test_doctor_names_a_variable_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AOS_")]:
        monkeypatch.delenv(name)
    assert checks.variables().level is checks.Level.OK
    monkeypatch.setenv("AOS_AGENT_IDEL_SECONDS", "5")
    found = checks.variables()
    assert found.level is checks.Level.WARN
    assert "AOS_AGENT_IDEL_SECONDS (did you mean AOS_AGENT_IDLE_SECONDS?)" in found.detail


def test_doctor_fails_on_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "aos.toml").write_text("http_prot = 80\n")
    done = aos("doctor", home=tmp_path)
    assert done.returncode == 1
    assert "http_prot" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotRunning(), 3), (NoCredentials(), 4), (ApiError(404, {}), 4), (ApiError(503, {}), 3),
        (InvalidSettings(), 2), (PortTaken(), 1),
    ],
)  # fmt: skip
def test_exit_codes_mean_something(error: AosError | ApiError, code: int) -> None:
    assert exit_code(error) == code
