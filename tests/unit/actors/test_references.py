from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import json_objects, json_values, safe_integers, step_ids

from aos.actors.runs.references import UnresolvedReference, referenced, resolve
from aos.cluster.canonical import canonical

ROWS = [{"text": "one"}, {"text": "two"}]
PAGE = {"body": "<h1>Hi</h1>", "status": 200, "rows": ROWS, "no": None}
OUTPUTS = {"fetch": PAGE, "a-b_2": [1, 2.5, True]}

texts = st.builds("{}{{{{{}}}}}".format, st.text(max_size=3), st.sampled_from("abc"))
templates = st.recursive(
    st.none() | st.text(max_size=3) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{fetch}}", PAGE),
        ("{{fetch.status}}", 200),
        ("{{fetch.no}}", None),
        ("{{fetch.rows.1.text}}", "two"),
        ("{{fetch.rows}}", PAGE["rows"]),
        ("{{a-b_2.2}}", True),
        ("  {{ fetch.status }}\n", 200),
    ],
)
def test_a_string_that_is_one_reference_becomes_the_value_with_its_type(
    text: str, value: Any
) -> None:
    resolved = resolve(text, OUTPUTS)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("was {{fetch.status}}!", "was 200!"),
        ("{{fetch.rows.0.text}} and {{fetch.rows.1.text}}", "one and two"),
        ("{{fetch.no}}, {{a-b_2.2}}", "null, true"),
        ("got {{a-b_2.0}}", "got 1"),
        ("{{fetch.body}}{{fetch.body}}", "<h1>Hi</h1><h1>Hi</h1>"),
    ],
)
def test_references_inside_a_longer_string_are_rendered_into_it(text: str, rendered: str) -> None:
    assert resolve(text, OUTPUTS) == rendered


def test_values_are_rendered_as_json() -> None:
    rendered = resolve("it is {{fetch}}", {"fetch": {"é": ["ü", None, 1.5]}})
    assert isinstance(rendered, str)
    assert json.loads(rendered.removeprefix("it is ")) == {"é": ["ü", None, 1.5]}
    assert "ü" in rendered


@given(json_values)
def test_a_value_is_rendered_alike_before_and_after_it_was_in_a_journal(value: Any) -> None:
    """A step that is dispatched again after a crash sends what it sent before."""
    resumed = json.loads(canonical(value))
    assert resolve("it is {{a}}", {"a": value}) == resolve("it is {{a}}", {"a": resumed})


def test_references_are_found_at_any_depth() -> None:
    params = {"url": "{{fetch.body}}", "deep": [{"x": ["see {{a-b_2.0}}"]}], "n": 1, "none": None}
    assert referenced(params) == {"fetch", "a-b_2"}
    assert resolve(params, OUTPUTS) == {
        "url": PAGE["body"],
        "deep": [{"x": ["see 1"]}],
        "n": 1,
        "none": None,
    }


def test_the_keys_of_an_object_are_never_references() -> None:
    params = {"{{fetch}}": 1}
    assert referenced(params) == frozenset()
    assert resolve(params, {}) == params


@pytest.mark.parametrize(
    "text",
    ["{fetch}", "{{Fetch}}", "{{1fetch}}", "{{fetch.}}", "{{fetch..body}}", "{{}}", "{{ a b }}",
     "{{fetch", "{{{{", "{{fetch.a{b}}"],
)  # fmt: skip
def test_other_braces_are_text(text: str) -> None:
    assert referenced(text) == frozenset()
    assert resolve(text, {}) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{nobody}}", r"\{\{nobody\}\}: step 'nobody' has no output"),
        ("a {{nobody.x}}", "step 'nobody' has no output"),
        ("{{fetch.title}}", "there is no 'title' in it"),
        ("{{fetch.rows.2}}", "there is no '2' in it"),
        ("{{fetch.rows.-1}}", "there is no '-1' in it"),
        ("{{fetch.rows.first}}", "there is no 'first' in it"),
        ("{{fetch.body.0}}", "there is no '0' in it"),
        ("{{fetch.no.x}}", "there is no 'x' in it"),
        pytest.param("{{fetch.rows." + "9" * 5_000 + "}}", "there is no '999", id="huge index"),
    ],
)
def test_what_cannot_be_resolved_is_refused_and_never_guessed(text: str, complaint: str) -> None:
    with pytest.raises(UnresolvedReference, match=complaint):
        resolve([{"x": text}], OUTPUTS)


@given(json_values, step_ids)
def test_content_that_looks_like_a_reference_is_content(value: Any, other: str) -> None:
    """A fetched page may say {{pay.token}}: nothing in it is ever looked up."""
    lure = {"page": f"see {{{{{other}.secret}}}}", "value": value}
    outputs = {"fetch": lure, other: {"secret": "hunter2"}} if other != "fetch" else {"fetch": lure}
    assert resolve("{{fetch}}", outputs) == lure
    assert resolve("{{fetch.page}}", outputs) == lure["page"]
    assert resolve("It says: {{fetch.page}}", outputs) == f"It says: {lure['page']}"


@given(templates, st.dictionaries(st.sampled_from("abc"), safe_integers))
def test_every_reference_is_replaced_or_the_value_refused(template: Any, outputs: Any) -> None:
    if referenced(template) <= outputs.keys():
        assert referenced(resolve(template, outputs)) == frozenset()
    else:
        with pytest.raises(UnresolvedReference):
            resolve(template, outputs)


@given(json_objects)
def test_a_value_without_references_stays_as_it_is(value: Any) -> None:
    if not referenced(value):
        assert resolve(value, {}) == value
