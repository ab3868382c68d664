from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from tests.support.skill_calls import settings

from aos.cluster.environment import PRELOADED, cluster_environment


def test_each_home_has_a_token_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "other"]
    tokens = []
    for home in homes:
        home.mkdir()
        environment = cluster_environment(settings(home=home))
        token = Path(environment["RAY_AUTH_TOKEN_PATH"])
        assert token.is_relative_to(home)
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        tokens.append(token.read_text())
    assert tokens[0] != tokens[1]
    assert all(len(bytes.fromhex(token)) == 32 for token in tokens)


def test_a_token_once_made_is_kept(tmp_path: Path) -> None:
    first = cluster_environment(settings(home=tmp_path))
    token = Path(first["RAY_AUTH_TOKEN_PATH"]).read_text()
    assert cluster_environment(settings(home=tmp_path)) == first
    assert Path(first["RAY_AUTH_TOKEN_PATH"]).read_text() == token


def test_what_ray_reads_is_added_and_nothing_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-1")
    before = dict(os.environ)
    environment = cluster_environment(settings(home=tmp_path))
    assert dict(os.environ) == before
    assert environment["ANTHROPIC_API_KEY"] == "sk-1"
    assert environment["AOS_HOME"] == str(tmp_path)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["RAY_memory_monitor_refresh_ms"] == "0"
    assert environment["RAY_worker_oom_score_adjustment"] == "0"
    assert environment["RAY_preload_python_modules"].split(",") == list(PRELOADED)


def test_programs_of_this_installation_are_found_first_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", scripts, "/bin"]))
    path = cluster_environment(settings(home=tmp_path))["PATH"].split(os.pathsep)
    assert path == [scripts, "/usr/bin", "/bin"]
