"""What is on disk in everybody's database: these tests pin it.

When one fails, the code no longer reads what it wrote before. Do not change the file beside this
one: give the event a new version, and an upcaster in `decode`.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.support.strategies import events, events_by_kind, step_ids

from aos.actors.runs.events import KINDS, Event, Heard, Journaled, decode, encode
from aos.cluster.canonical import canonical
from aos.skills.contracts import TAXONOMY, Contract, JsonValue

PINNED: dict[str, Any] = json.loads(Path(__file__).with_name("wire_form.json").read_text())


def kept_contracts() -> set[type[Contract]]:
    """Every contract that can be inside a journal: the events, and all that they are made of."""
    found: set[type[Contract]] = set()

    def visit(annotation: Any) -> None:
        for part in getattr(annotation, "__args__", ()):
            visit(part)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation in found:
                return
            found.add(annotation)  # type: ignore[arg-type]
            for field in annotation.model_fields.values():
                visit(field.annotation)

    for kind in KINDS:
        visit(kind)
    return found


def form_of(contract: type[BaseModel]) -> dict[str, Any]:
    """A contract's fields: those that are always written, and what the others are if they are not.

    JSON decides what is equal here, so that the type of a default counts and not only its value.
    """
    fields = contract.model_fields
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }
    written = contract.model_construct(**defaults).model_dump_json(include=set(defaults))
    return {
        "required": sorted(name for name, field in fields.items() if field.is_required()),
        "defaults": json.loads(written),
    }


def kept_words() -> dict[str, set[str]]:
    """Every enumeration's words in the contracts, and the outcome codes."""
    words = {"codes": set(TAXONOMY)}
    for contract in kept_contracts():
        for field in contract.model_fields.values():
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and issubclass(part, StrEnum):
                    words[part.__name__] = set(map(str, part))
    return words


def read_back(event: Event) -> Event:
    """As stores do: canonical JSON to disk, parsed by `json`, decoded by kind and version."""
    return decode(event.kind, event.version, json.loads(canonical(encode(event))))


def test_the_fields_and_defaults_of_everything_journaled_are_pinned() -> None:
    forms = {contract.__name__: form_of(contract) for contract in kept_contracts()}
    assert {name: json.dumps(form, sort_keys=True) for name, form in forms.items()} == {
        name: json.dumps(form, sort_keys=True) for name, form in PINNED["forms"].items()
    }


def test_no_word_that_was_ever_written_may_go() -> None:
    words = kept_words()
    assert words.keys() == PINNED["words"].keys()
    assert {name: set(kept) - words[name] for name, kept in PINNED["words"].items()} == {
        name: set() for name in words
    }


@pytest.mark.parametrize("kind", PINNED["fullest"])
def test_a_recorded_event_is_read_and_would_be_written_alike(kind: str) -> None:
    body = PINNED["fullest"][kind]
    event = decode(kind, 1, body)
    assert event.kind == kind
    assert canonical(encode(event)) == canonical(body)


@pytest.mark.parametrize("kind", PINNED["emptiest"])
def test_a_recorded_event_without_optional_fields_too(kind: str) -> None:
    body = PINNED["emptiest"][kind]
    assert canonical(encode(decode(kind, 1, body))) == canonical(body)


def test_every_kind_is_pinned_at_its_version() -> None:
    assert {cls.model_fields["kind"].default: cls.version for cls in KINDS} == PINNED["versions"]
    assert set(PINNED["fullest"]) == set(PINNED["emptiest"]) == set(PINNED["versions"])


def test_kinds_are_all_the_events_there_are() -> None:
    assert set(KINDS) == set(Journaled.__subclasses__()) - {Heard} | set(Heard.__subclasses__())
    assert set(events_by_kind) == set(PINNED["versions"])


@given(events)
def test_what_was_written_is_what_is_read(event: Event) -> None:
    assert read_back(event) == event


@given(events)
def test_an_event_has_one_form_only(event: Event) -> None:
    assert canonical(encode(read_back(event))) == canonical(encode(event))


@pytest.mark.parametrize("number", [float(2**53), 1e20, -1e17])
def test_large_numbers_can_be_written_again_after_they_were_read(number: float) -> None:
    """A resumed run uses in new events what it read from old ones."""
    event = decode("run_finished", 1, {**PINNED["emptiest"]["run_finished"], "answer": number})
    assert canonical(encode(read_back(event))) == canonical(encode(event))


@given(events)
def test_the_kind_is_a_column_and_not_in_the_body(event: Event) -> None:
    assert "kind" not in encode(event)


@pytest.mark.parametrize("kind", ["run_dreamt", "", "RunStarted", "run_started "])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="kind"):
        decode(kind, 1, {"at": "2026-01-01T00:00:00Z", "epoch": 1})


def test_a_version_that_is_not_written_yet_is_refused() -> None:
    """An older AOS that reads a newer journal must stop, not misread."""
    with pytest.raises(ValueError, match="version"):
        decode("run_started", 2, {"at": "2026-01-01T00:00:00Z", "epoch": 1})


@given(st.sampled_from(sorted(PINNED["emptiest"])), step_ids)
def test_a_field_that_no_version_has_is_refused(kind: str, name: str) -> None:
    body: dict[str, JsonValue] = {**PINNED["emptiest"][kind], f"x_{name}": 1}
    with pytest.raises(ValueError, match=f"x_{name}"):
        decode(kind, 1, body)


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind, body in PINNED["emptiest"].items() for field in body],
)
def test_a_field_that_is_always_written_must_be_there(kind: str, field: str) -> None:
    body = {name: value for name, value in PINNED["emptiest"][kind].items() if name != field}
    with pytest.raises(ValueError, match=field):
        decode(kind, 1, body)
