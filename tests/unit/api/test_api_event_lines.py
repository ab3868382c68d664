"""Every event of a journal has data for streams, and a line for people, that names what matters."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.any_life import AnyLife
from tests.support.runs import RUN
from tests.unit.api.test_api_render import AT, printed

from aos.actors.runs.deriving import Birth, Change, derive
from aos.actors.runs.events import KINDS, Derivation
from aos.actors.runs.store import Recorded
from aos.api.cli.event_lines import event_line
from aos.api.client.models import RunEvent
from aos.api.present_events import event_data


def line(kind: str, **fields: object) -> str:
    return printed(
        event_line(RunEvent.model_validate({"seq": 1, "at": AT, "kind": kind, **fields}))
    )


@pytest.mark.parametrize("kind", [str(each.model_fields["kind"].default) for each in KINDS])
def test_a_line_is_total(kind: str) -> None:
    assert line(kind).strip()


@given(seed=st.integers(0, 10**9), program=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_can_be_shown(seed: int, program: bool) -> None:
    for seq, event in enumerate(AnyLife(seed, program=program).live(), 1):
        data = json.loads(json.dumps(event_data(Recorded(seq, 1, event))))
        shown = printed(event_line(RunEvent.model_validate(data)))
        if "step_id" in data:
            assert data["step_id"] in shown


def test_derived_runs_say_of_what() -> None:
    life = AnyLife(1)
    birth = Birth(RUN, life.now, "0" * 32, "test")
    events = derive(RUN, life.events, Change(Derivation.RERUN, "ann"), birth)
    data = event_data(Recorded(1, 0, events[0]))
    assert data["derived"]["run_id"] == str(RUN)
    assert "profile" not in data
    shown = printed(event_line(RunEvent.model_validate(data)))
    assert f"made by rerun of {RUN}" in shown


def test_words_of_what_is_said() -> None:
    assert "signal go by ann  {" in line("signal_received", name="go", by="ann", payload={"a": 1})
    assert "waits for its time, 2027" in line("wait_began", step_id="t", until="2027-01-01")
    assert "decided: no" in line("decision_made", step_id="a", approved=False)
    assert "says: did not happen" in line(
        "step_reconciled", step_id="pay", verdict="did_not_happen", source="hook"
    )
