"""One frozen settings object, read once in `main` and passed on.

Sources, strongest first: arguments, environment (`AOS_*`, `DATABASE_URL`), `$AOS_HOME/aos.toml`.
Unknown keys in the file are refused: a misspelt limit must not be a limit that does not hold.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from .errors import Blame, InputError


class InvalidSettings(InputError):
    """A setting is unknown or has a value that cannot be used."""

    code = "AOS-1001"
    title = "The configuration cannot be used."
    next_action = "Correct the named setting in the environment or in aos.toml, then try again."
    blame = Blame.OPERATOR


def default_home() -> Path:
    """`$AOS_HOME`; else `/var/lib/aos` for root (Postgres then runs as another user, who could not
    enter root's closed home) and the platform's user data directory for everybody else.
    """
    if (given := os.environ.get("AOS_HOME")) is not None:
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/aos")
    return Path(platformdirs.user_data_dir("aos"))


class Settings(BaseSettings):
    """Everything that can be configured. Times are seconds, sizes are bytes unless named else."""

    model_config = SettingsConfigDict(env_prefix="AOS_", frozen=True, extra="forbid")

    home: Path = Field(default_factory=default_home)
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AOS_DATABASE_URL", "database_url", "DATABASE_URL"),
    )
    postgres_os_user: str | None = None

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8787, ge=0, le=65535)
    http_body_limit: int = Field(default=2_097_152, ge=1024)
    payload_limit: int = Field(default=1_048_576, ge=1024)
    """The largest value that may be said to a run: a signal's payload, a decision's value."""

    ray_address: str | None = None
    ray_namespace: str = "aos"
    ray_cpus: float | None = Field(default=None, gt=0)
    ray_dashboard: bool = True
    ray_dashboard_port: int = Field(default=8265, ge=0, le=65535)
    ray_object_store_bytes: int = Field(default=200_000_000, ge=78_643_200)

    agent_warm_hosts: int = Field(default=2, ge=0, le=64)
    agent_max_hosts: int = Field(default=64, ge=1)
    agent_idle_seconds: float = Field(default=120.0, gt=0)
    agent_host_serves: int = Field(default=100, ge=1)
    """How often a process is used for an agent before it is replaced by a new one."""
    agent_host_rss_mb: int = Field(default=300, ge=64)
    """A process that has grown beyond this is replaced when its agent is made passive."""
    skill_spare_workers: int = Field(default=6, ge=0, le=256)
    """Idle worker processes kept ready: a step that finds none waits half a second for one."""
    agent_parallel_steps: int = Field(default=4, ge=1, le=256)

    skill_memory_mb: int = Field(default=1_024, ge=0)
    agent_memory_mb: int = Field(default=512, ge=0)
    memory_budget_mb: int | None = Field(default=None, ge=256)

    rescue_interval: float = Field(default=1.0, gt=0)
    supervision_events_days: int = Field(default=30, ge=1)
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """How long runs are kept after their end. None: for ever, since nothing is removed unasked."""
    retention_archive: Path | None = None
    retention_interval: float = Field(default=3600.0, gt=0)
    heartbeat_interval: float = Field(default=10.0, gt=0)
    heartbeat_misses: int = Field(default=3, ge=1)
    """So many unanswered heartbeats in a row, and a process is taken to hang, and is ended."""
    hang_seconds: float = Field(default=30.0, gt=0)
    """How long a process's event loop may stand still before a heartbeat counts as unanswered."""
    lease_seconds: float = Field(default=20.0, gt=0)
    """How long a machine's word for its processes holds; then its agents are taken over."""
    orphan_seconds: float = Field(default=60.0, gt=0)
    """An agent's process that hears nothing from its manager for so long ends itself."""
    janitor_interval: float = Field(default=60.0, gt=0)
    """Between two rounds of clearing away; what was seen in two of them goes."""
    blob_threshold: int = Field(default=65_536, ge=1024)
    program_tenants: tuple[str, ...] = ("default",)
    """Whose admins may bring code of their own: it is executed in their agents' processes."""
    private_hosts_allowed: tuple[str, ...] = ()
    """`host:port` that are not public but may be fetched: the SSRF guard's allow-list."""

    anthropic_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "AOS_ANTHROPIC_API_KEY", "anthropic_api_key", "ANTHROPIC_API_KEY"
        ),
    )
    anthropic_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "AOS_ANTHROPIC_BASE_URL", "anthropic_base_url", "ANTHROPIC_BASE_URL"
        ),
    )
    anthropic_model: str = "claude-sonnet-5-5"

    program_development: bool = False

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator(
        "anthropic_api_key", "anthropic_base_url", "database_url", "retention_days",
        "retention_archive", mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        """`NAME=` in a shell or a compose file means: not set."""
        return None if value == "" else value

    @field_validator("home", "retention_archive")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then `$AOS_HOME/aos.toml`."""
        toml = TomlConfigSettingsSource(settings_cls, default_home() / "aos.toml")
        return (init_settings, env_settings, toml)

    @property
    def embedded(self) -> bool:
        """Whether AOS keeps its own Postgres."""
        return self.database_url is None

    @property
    def instance(self) -> str:
        """A short name of this installation: two homes on a machine share no path and no name."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:10]


def load(**overrides: Any) -> Settings:
    """Read the settings once. Raises `InvalidSettings` with every offending key named."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in error.errors()
        )
        raise InvalidSettings(problems) from error
    except SettingsError as error:  # a variable whose value cannot be read at all
        raise InvalidSettings(str(error)) from error
    except ValueError as error:  # a file that is not TOML
        raise InvalidSettings(f"aos.toml: {error}") from error
