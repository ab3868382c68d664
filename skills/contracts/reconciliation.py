"""What a skill knows about an effect of its own whose outcome was lost."""

from __future__ import annotations

from enum import StrEnum

from .values import Contract, JsonValue


class Verdict(StrEnum):
    """Whether an effect happened."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    UNCLEAR = "unclear"


class Reconciliation(Contract):
    """The output of a successful reconciling call.

    `output` is what the lost call would have returned, only for `happened`; `reason` says why it is
    `unclear`.
    """

    verdict: Verdict
    output: JsonValue = None
    reason: str = ""
