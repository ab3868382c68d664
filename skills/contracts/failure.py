"""The taxonomy of outcome codes: what went wrong, whether trying again can help, whose move it is.

A code never changes its meaning once it was emitted. Retryability is a property of the code, not
of its severity, and decisions use only `code`, `retryable` and `blame`; messages are for people.
Source of the code set: the error taxonomy of the system AOS replaces, made one list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...cluster.errors import Blame


class Category(StrEnum):
    """What kind of failure a code is."""

    SUCCESS = "success"
    TRANSIENT = "transient"
    CLIENT = "client"
    THIRD_PARTY = "third_party"
    INFRASTRUCTURE = "infrastructure"
    POLICY = "policy"
    SAFETY = "safety"
    PLANNER = "planner"


class Severity(StrEnum):
    """How loud to be about it."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class FailureCode:
    """One row of the taxonomy."""

    code: str
    category: Category
    retryable: bool
    severity: Severity
    blame: Blame
    next_action: str


def _rows(
    category: Category, blame: Blame, severity: Severity, retryable: bool, codes: dict[str, str]
) -> dict[str, FailureCode]:
    return {
        code: FailureCode(code, category, retryable, severity, blame, action)
        for code, action in codes.items()
    }


_WARN, _ERROR, _CRITICAL = Severity.WARNING, Severity.ERROR, Severity.CRITICAL

TAXONOMY: dict[str, FailureCode] = {
    **_rows(Category.SUCCESS, Blame.PLATFORM, Severity.INFO, False, {"OK": "Nothing to do."}),
    **_rows(Category.TRANSIENT, Blame.UPSTREAM, _WARN, True, {
        "ERR_TIMEOUT": "Raise the skill's timeout_s, or ask for less work in one step.",
        "ERR_HTTP_408": "The server gave up waiting; it is tried again.",
        "ERR_HTTP_429": "The server limits the rate; Retry-After is honoured.",
        "ERR_HTTP_5XX": "The server failed; it is tried again.",
        "ERR_HTTP_500": "The server failed; it is tried again.",
        "ERR_HTTP_502": "A gateway before the server failed; it is tried again.",
        "ERR_HTTP_503": "The server is unavailable; it is tried again.",
        "ERR_HTTP_504": "A gateway timed out; it is tried again.",
        "ERR_CONNECTION_REFUSED": "Check that the server is up and the port is right.",
        "ERR_CONNECTION_LOST": "The connection broke; it is tried again.",
        "ERR_DNS_FAILURE": "Check the host name and the resolver.",
    }),
    **_rows(Category.CLIENT, Blame.CALLER, _ERROR, False, {
        "ERR_HTTP_4XX": "The server refused the request; read details.status_code.",
        "ERR_HTTP_400": "Correct the request.",
        "ERR_HTTP_401": "Give the server valid credentials.",
        "ERR_HTTP_403": "Ask the server's owner for access.",
        "ERR_HTTP_404": "Check the URL: the page does not exist.",
        "ERR_VALIDATION_FAILED": "Correct the skill's input; details.errors names the fields.",
        "ERR_INVALID_REFERENCE": "Correct the {{step.field}} reference in the plan.",
        "ERR_SCHEMA_MISMATCH": "The skill returned another shape than it declares: fix the skill.",
        "ERR_SKILL_NOT_FOUND": "See which skills exist with `aos doctor`, or install it.",
        "ERR_SERIALIZATION_FAILED": "Return JSON values only.",
        "ERR_PAYLOAD_TOO_LARGE": "Send less; details.max_bytes is the limit. Large data belongs in "
                                 "a store of yours, and its address in the payload.",
        "ERR_NO_RECONCILER": "The skill cannot say whether its effect happened: look at the target "
                             "system, or give the skill an @….reconcile function.",
        "ERR_NO_COMPENSATOR": "The skill cannot undo its effect: undo it by hand, or give the "
                              "skill an @….compensate function.",
        "ERR_CHILD_FAILED": "Look at the child run; details.run_id names it.",
        "ERR_CHILD_CYCLE": "An agent may not start a run of an agent that waits for it: break the "
                           "circle that details.path shows.",
        "ERR_RESPONSE_TOO_LARGE": "Ask for a smaller page, or raise max_bytes (10 MiB at most).",
        "ERR_CONTENT_TYPE": "This skill reads text; fetch another representation.",
        "ERR_PROGRAM_FAILED": "Correct the program; the message names the line.",
        "ERR_PROGRAM_STUCK": "Correct the program: nothing it asked for can end its wait.",
        "ERR_NONDETERMINISTIC": "Use what the message names: its result is recorded with the run.",
        "ERR_TRANSFORM_FAILED": "Correct the expression; details.reason says what it met.",
        "ERR_LLM_CONTEXT_LENGTH": "Shorten the prompt or choose a model with a longer context.",
        "ERR_LLM_INVALID_REQUEST": "Correct the request to the model; details.reason quotes it.",
    }),
    **_rows(Category.THIRD_PARTY, Blame.UPSTREAM, _WARN, True, {
        "ERR_LLM_RATE_LIMITED": "The provider limits the rate; Retry-After is honoured.",
        "ERR_LLM_OVERLOADED": "The provider is overloaded; it is tried again.",
        "ERR_LLM_API_ERROR": "The provider failed; it is tried again.",
        "ERR_LLM_STREAM_BROKEN": "The provider's stream broke off; the call is made again.",
    }),
    **_rows(Category.THIRD_PARTY, Blame.OPERATOR, _ERROR, False, {
        "ERR_LLM_AUTH": "Set a valid ANTHROPIC_API_KEY and restart AOS.",
        "ERR_LLM_NOT_CONFIGURED": "Set ANTHROPIC_API_KEY, or use the scripted model.",
        "ERR_LLM_MODEL_NOT_FOUND": "Choose a model the provider offers.",
        "ERR_SSL": "The server's certificate does not verify; correct it or the host name.",
    }),
    **_rows(Category.INFRASTRUCTURE, Blame.PLATFORM, _ERROR, True, {
        "ERR_WORKER_DIED": "The skill's process died; it is tried again on a fresh one.",
        "ERR_OUT_OF_MEMORY": "Raise the skill's memory_mb or AOS_SKILL_MEMORY_MB, or give it "
                             "less to do.",
        "ERR_NODE_LOST": "A machine was lost; the step is tried again elsewhere.",
        "ERR_STORAGE": "Check Postgres with `aos doctor`.",
    }),
    **_rows(Category.INFRASTRUCTURE, Blame.OPERATOR, _ERROR, False, {
        "ERR_RESOURCES_UNAVAILABLE": "Add a machine that has what details.missing names.",
        "ERR_INTERNAL": "A bug in the skill or in AOS; details.traceback is for its author.",
        "ERR_IN_DOUBT": "Look at the target system with the idempotency key, then decide by hand.",
        "ERR_PROGRAM_DIVERGED": "Run it with the code that it began with, or use ctx.patched.",
        "ERR_POISON_RUN": "The run kills its agent's process: look at its last step.",
    }),
    **_rows(Category.POLICY, Blame.OPERATOR, _ERROR, False, {
        "ERR_PERMISSION_DENIED": "Add the permission to the agent's profile if it is meant.",
        "ERR_FORBIDDEN_SKILL": "Add the skill to the agent's profile if it is meant.",
        "ERR_LIMIT_EXCEEDED": "Raise the limit in the agent's profile, or split the goal.",
        "ERR_RUN_TIMEOUT": "Raise limits.run_timeout_s in the agent's profile.",
        "ERR_CHILD_DEPTH": "Runs are nested too deeply: let one parent start more of them.",
    }),
    **_rows(Category.POLICY, Blame.CALLER, _WARN, False, {
        "ERR_CANCELLED": "Somebody cancelled it; submit the run again if that was a mistake.",
        "ERR_COMPENSATED": "What was done is undone; submit the run again to do it anew.",
        "ERR_DECISION_DENIED": "A person said no; the decision in the journal says who and why.",
        "ERR_SKIPPED": "It was left out, by decision or because what it needs is not there.",
        "ERR_WAIT_TIMEOUT": "Nothing came in time: send it sooner, or give the wait longer.",
    }),
    **_rows(Category.SAFETY, Blame.CALLER, _CRITICAL, False, {
        "ERR_BLOCKED_ADDRESS": "Private addresses are not fetched; allow host:port in "
                               "AOS_PRIVATE_HOSTS_ALLOWED if it is meant.",
        "ERR_LLM_CONTENT_FILTER": "The provider refused the content.",
    }),
    **_rows(Category.SAFETY, Blame.OPERATOR, _CRITICAL, False, {
        "ERR_EMERGENCY_STOP": "An operator stopped the work; nothing starts until it is released.",
    }),
    **_rows(Category.PLANNER, Blame.CALLER, _ERROR, False, {
        "ERR_PLANNER_NO_PLAN": "Word the goal so that a rule matches, or set ANTHROPIC_API_KEY.",
        "ERR_INVALID_PLAN": "The plan cannot run; details.problems says why.",
        "ERR_PLANNER_NOT_FOUND": "Choose a planner that exists in the agent's profile.",
        "ERR_TOO_MANY_ROUNDS": "Raise limits.max_rounds in the profile, or narrow the goal.",
    }),
}  # fmt: skip
"""Every code an outcome may carry."""


def failure_code(code: str) -> FailureCode:
    """The taxonomy's row of a code. Raises `KeyError` for a code that does not exist."""
    return TAXONOMY[code]
