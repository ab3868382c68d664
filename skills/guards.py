"""Guards stand around every call: `before` may refuse it, `after` may refuse its outcome.

A guard is a small synchronous hook with no-op defaults, and `DEFAULT_GUARDS` lists, in order, the
ones that stand. A guard that raises counts as a refusal with ERR_INTERNAL: it never lets through.
"""

from __future__ import annotations

from ..cluster.canonical import canonical
from .call import SkillCall
from .contracts import SkillDescriptor, Status, StructuredOutcome, failure_code

MAX_OUTPUT_BYTES = 10 * 1024 * 1024


class Guard:
    """A no-op guard, to derive from."""

    def before(self, call: SkillCall, descriptor: SkillDescriptor) -> StructuredOutcome | None:
        """Runs before the skill, input already validated. An outcome refuses the call."""
        return None

    def after(
        self, call: SkillCall, descriptor: SkillDescriptor, outcome: StructuredOutcome
    ) -> StructuredOutcome:
        """Runs on every outcome of a call that was not refused. Returns it, or what replaces it.

        A replacement keeps `effect`, `usage` and `cost_microusd`: what happened has happened.
        """
        return outcome


class PermissionGuard(Guard):
    """A skill runs only if the call carries every permission that the skill declares."""

    def before(self, call: SkillCall, descriptor: SkillDescriptor) -> StructuredOutcome | None:
        """Refuse with ERR_PERMISSION_DENIED; `details.missing` lists the permissions lacking."""
        missing = sorted(set(descriptor.permissions) - set(call.permissions))
        if not missing:
            return None
        return StructuredOutcome.failure(
            "ERR_PERMISSION_DENIED",
            f"{descriptor.ref} needs {', '.join(missing)}",
            details={"missing": missing},
        )


class OutputSizeGuard(Guard):
    """Outputs stay within 10 MiB of canonical JSON: they are journaled and read on every replay."""

    def after(
        self, call: SkillCall, descriptor: SkillDescriptor, outcome: StructuredOutcome
    ) -> StructuredOutcome:
        """Replace an output that is too large with ERR_RESPONSE_TOO_LARGE."""
        if outcome.output is None or (size := len(canonical(outcome.output))) <= MAX_OUTPUT_BYTES:
            return outcome
        row = failure_code("ERR_RESPONSE_TOO_LARGE")
        return outcome.model_copy(
            update={
                "status": Status.FAILURE,
                "code": row.code,
                "message": f"{descriptor.ref} returned {size} bytes of {MAX_OUTPUT_BYTES} allowed",
                "retryable": row.retryable,
                "blame": row.blame,
                "output": None,
                "details": {"size_bytes": size, "max_bytes": MAX_OUTPUT_BYTES},
            }
        )


DEFAULT_GUARDS: tuple[Guard, ...] = (PermissionGuard(), OutputSizeGuard())
"""`before` runs in this order, `after` in reverse."""
