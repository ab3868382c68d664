from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from aos.cluster.settings import InvalidSettings, load

SECRET = "postgresql://aos:hunter2@db.example/aos"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home, and nothing of this machine's environment."""
    for name in list(os.environ):
        if name.upper().startswith(("AOS_", "ANTHROPIC_")) or name.upper() == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AOS_HOME", str(tmp_path))
    return tmp_path


def test_without_anything_aos_keeps_its_own_postgres(home: Path) -> None:
    settings = load()
    assert settings.embedded
    assert settings.home == home
    assert settings.http_host == "127.0.0.1"


def test_arguments_win_over_the_environment_and_the_environment_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "aos.toml").write_text("http_port = 1001\n")
    assert load().http_port == 1001
    monkeypatch.setenv("AOS_HTTP_PORT", "1002")
    assert load().http_port == 1002
    assert load(http_port=1003).http_port == 1003


@pytest.mark.parametrize("name", ["DATABASE_URL", "AOS_DATABASE_URL"])
def test_one_variable_moves_to_a_real_server(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    settings = load()
    assert not settings.embedded
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == SECRET


def test_our_own_variable_wins_over_the_one_that_everybody_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://the-app-beside-us/")
    monkeypatch.setenv("AOS_DATABASE_URL", SECRET)
    settings = load()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == SECRET


def test_a_misspelt_key_in_the_file_is_refused_by_name(home: Path) -> None:
    (home / "aos.toml").write_text("http_prot = 1001\nagent_max_hots = 3\n")
    with pytest.raises(InvalidSettings) as caught:
        load()
    assert "http_prot: " in caught.value.detail
    assert "agent_max_hots: " in caught.value.detail


def test_a_variable_that_means_nothing_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other parts and programs have AOS_… variables too, so an unknown one cannot be refused."""
    monkeypatch.setenv("AOS_HTTP_PROT", "1001")
    monkeypatch.setenv("AOS_FAULTS_DIR", "/nowhere")
    assert load().http_port == 8787


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", "65536"),
        ("http_port", "eighty"),
        ("agent_max_hosts", "0"),
        ("agent_parallel_steps", "257"),
        ("rescue_interval", "0"),
        ("blob_threshold", "1023"),
        ("skill_memory_mb", "-1"),
        ("memory_budget_mb", "255"),
        ("log_level", "loud"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"AOS_{name.upper()}", value)
    with pytest.raises(InvalidSettings, match=f"^AOS-1001: {name}: "):
        load()


def test_a_file_that_is_not_toml_is_refused_as_such(home: Path) -> None:
    (home / "aos.toml").write_text("http_port: 1\n")
    with pytest.raises(InvalidSettings, match=r"^AOS-1001: aos\.toml: "):
        load()


def test_a_broken_variable_is_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOS_PRIVATE_HOSTS_ALLOWED", "127.0.0.1:8080")  # not JSON
    with pytest.raises(InvalidSettings) as caught:
        load()
    assert "private_hosts_allowed" in caught.value.detail
    assert "aos.toml" not in caught.value.detail


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-hunter2")
    settings = load()
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.model_dump()}"
    assert "hunter2" not in shown


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().http_port = 1  # type: ignore[misc]


def test_two_homes_on_a_machine_share_no_name() -> None:
    one, other = load(home=Path("/srv/one")), load(home=Path("/srv/other"))
    assert one.instance != other.instance
    assert one.instance == load(home=Path("/srv/one")).instance


@pytest.mark.parametrize(("given", "meant"), [("~/aos", "home/aos"), ("here", "cwd/here")])
def test_the_home_is_the_directory_whose_file_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / meant).mkdir(parents=True)
    (tmp_path / meant / "aos.toml").write_text("http_port = 1001\n")
    monkeypatch.setenv("AOS_HOME", given)
    settings = load()
    assert settings.http_port == 1001
    assert settings.home == tmp_path / meant
