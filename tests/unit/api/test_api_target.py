"""Which AOS the client talks to, and with which key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aos.api.client.config import Target, find_target
from aos.api.client.errors import NoCredentials, NotRunning


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AOS_HOME", str(tmp_path))
    for name in ("AOS_URL", "AOS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def up(home: Path, url: str = "http://10.1.1.1:8787") -> None:
    (home / "node.json").write_text(json.dumps({"url": url, "pid": 1}))
    (home / "credentials").write_text(json.dumps({"api_key": "stored"}))


def test_what_aos_up_has_written_down(home: Path) -> None:
    up(home)
    assert find_target() == Target("http://10.1.1.1:8787", "stored")


def test_nothing_is_running(home: Path) -> None:
    with pytest.raises(NotRunning, match=str(home)):
        find_target()
    (home / "node.json").write_text("half a fi")
    with pytest.raises(NotRunning):
        find_target()


def test_the_environment_wins_and_arguments_over_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(home)
    monkeypatch.setenv("AOS_URL", "https://aos.example/")
    monkeypatch.setenv("AOS_API_KEY", "given")
    assert find_target() == Target("https://aos.example", "given")
    assert find_target("http://other", "argument") == Target("http://other", "argument")


def test_the_stored_key_is_sent_to_no_other_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(home)
    monkeypatch.setenv("AOS_URL", "https://evil.example")
    with pytest.raises(NoCredentials):
        find_target()
    monkeypatch.setenv("AOS_URL", "http://localhost:9999")
    assert find_target().api_key == "stored"


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Target("http://x", "secret"))
