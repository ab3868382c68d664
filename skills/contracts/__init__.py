"""The shapes everybody shares, pure and importable without Ray: the SDK uses them too.

One outcome, one descriptor, one profile, one taxonomy. What the older dialects called these
things, and how they map, is in `docs/reference/contracts.md`.
"""

from .descriptor import EffectRule, Effects, RetryPolicy, SkillDescriptor, effects_of
from .failure import TAXONOMY, Category, FailureCode, Severity, failure_code
from .outcome import EffectState, SideEffect, Status, StructuredOutcome, Usage
from .profile import AgentProfile, Dedicated, InDoubtPolicy, PlannerChoice, RunLimits
from .reconciliation import Reconciliation, Verdict
from .resources import ResourceContract
from .sensitive import Sensitive
from .values import Contract, JsonObject, JsonValue

__all__ = [
    "TAXONOMY",
    "AgentProfile",
    "Category",
    "Contract",
    "Dedicated",
    "EffectRule",
    "EffectState",
    "Effects",
    "FailureCode",
    "InDoubtPolicy",
    "JsonObject",
    "JsonValue",
    "PlannerChoice",
    "Reconciliation",
    "ResourceContract",
    "RetryPolicy",
    "RunLimits",
    "Sensitive",
    "Severity",
    "SideEffect",
    "SkillDescriptor",
    "Status",
    "StructuredOutcome",
    "Usage",
    "Verdict",
    "effects_of",
    "failure_code",
]
