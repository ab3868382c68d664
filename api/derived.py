"""Runs made of runs, as the door makes them."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from ..actors.runs.derivations import DerivedRequest
from ..actors.runs.deriving import Change
from ..cluster.canonical import content_hash
from ..cluster.identity import Principal
from ..skills.contracts import JsonValue
from .payloads import check_payload
from .services import Services


async def make_run(
    door: Services,
    caller: Principal,
    source: UUID,
    change: Change,
    key: str | None,
    response: Response,
) -> UUID:
    """Make the run, and have its agent called. The new run's id."""
    overrides: dict[str, JsonValue] = {
        name: dict(params) for name, params in change.overrides.items()
    }
    check_payload(overrides, door.settings.payload_limit, "overrides")
    agreed = {
        "how": change.how.value, "source": str(source), "step": change.step_id,
        "goal": change.goal, "overrides": overrides, "output": change.output,
        "action": change.action.value if change.action else None,
    }  # fmt: skip
    request = DerivedRequest(caller.tenant, source, change, content_hash(agreed), key)
    accepted, agent_id = await door.derivations.make(request)
    door.doorbell.ring(caller.tenant, agent_id)
    response.headers["Location"] = f"/api/v1/runs/{accepted.run_id}"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return accepted.run_id
