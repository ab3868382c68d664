"""Short ways to write specifications in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aos.supervisors.spec import (
    ChildSpec,
    ChildType,
    Intensity,
    Restart,
    Strategy,
    SupervisorSpec,
    otp,
)

START = datetime(2026, 1, 1, tzinfo=UTC)

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ONE_FOR_ONE, ONE_FOR_ALL = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL
REST_FOR_ONE, DYNAMIC = Strategy.REST_FOR_ONE, Strategy.DYNAMIC


def child(child_id: str, restart: Restart = PERMANENT, **fields: Any) -> ChildSpec:
    """A worker."""
    return ChildSpec(child_id, "a.module:Class", restart, **fields)


def nested(spec: SupervisorSpec, restart: Restart = PERMANENT, **fields: Any) -> ChildSpec:
    """A supervisor as the child of another."""
    made_with = {"supervisor": spec}
    return ChildSpec(
        spec.id, "supervisor", restart, type=ChildType.SUPERVISOR, args=made_with, **fields
    )


def within(restarts: int, seconds: float) -> Intensity:
    """At most `restarts` within `seconds`."""
    return Intensity(restarts, timedelta(seconds=seconds))


def seconds(number: float) -> timedelta:
    """A time."""
    return timedelta(seconds=number)


def supervisor(*children: ChildSpec, name: str = "top", **fields: Any) -> SupervisorSpec:
    """A supervisor with our defaults, but for an intensity that no test exhausts by chance."""
    defaults: dict[str, Any] = {"intensity": within(100, 1)}
    return SupervisorSpec(name, children, **(defaults | fields))


def by_otp(*children: ChildSpec, name: str = "top", **fields: Any) -> SupervisorSpec:
    """A supervisor by OTP's rules and with OTP's default intensity."""
    defaults: dict[str, Any] = {"intensity": within(1, 5)}
    return otp(SupervisorSpec(name, children, **(defaults | fields)))
