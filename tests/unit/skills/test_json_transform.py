from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tuned
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.skill_calls import run, settings

from aos.cluster.canonical import content_hash
from aos.skills.builtin import json_transform
from aos.skills.builtin.json_path import PathLeadsNowhere, find, parse
from aos.skills.builtin.json_transform import JsonTransformInput
from aos.skills.builtin.transform import flattened
from aos.skills.skill import SkillContext, SkillFailure

PEOPLE = [
    {"name": "Ada", "age": 36, "tags": ["math", "code"], "at": {"city": "London"}},
    {"name": "Bob", "age": 17, "tags": [], "at": {"city": "Paris"}},
    {"name": "Cy", "age": None, "tags": ["code"], "at": {}},
]

IS = {"field": "$", "value": 3}


async def result_of(data: Any, operation: str, **params: Any) -> Any:
    outcome = await run(json_transform, {"data": data, "operation": operation, **params})
    assert outcome.ok, outcome
    assert isinstance(outcome.output, dict)
    assert outcome.output["result_hash"] == content_hash(outcome.output["result"])
    assert outcome.output["operation"] == operation
    return outcome.output["result"]


async def reason_of(data: Any, operation: str, **params: Any) -> Any:
    outcome = await run(json_transform, {"data": data, "operation": operation, **params})
    assert outcome.code == "ERR_TRANSFORM_FAILED", outcome
    return outcome.details["reason"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", PEOPLE),
        ("$[0].name", "Ada"),
        ("[-1].name", "Cy"),
        ("$[0]['at'].city", "London"),
        ('$[0]["at"]["city"]', "London"),
        ("[*].name", ["Ada", "Bob", "Cy"]),
        ("[*].tags[*]", [["math", "code"], [], ["code"]]),
    ],
)
async def test_extract(path: str, expected: Any) -> None:
    assert await result_of(PEOPLE, "extract", path=path) == expected


async def test_a_default_stands_for_what_is_not_there() -> None:
    assert await reason_of(PEOPLE, "extract", path="[9]") == "path_not_found"
    assert await result_of(PEOPLE, "extract", path="[9]", use_default=True) is None
    cities = await result_of(PEOPLE, "map", path="at.city", use_default=True, default="?")
    assert cities == ["London", "Paris", "?"]


async def test_map_to_objects() -> None:
    mapping = {"who": "name", "first": "tags[0]"}
    assert await result_of(PEOPLE[:1], "map", mapping=mapping) == [{"who": "Ada", "first": "math"}]


@pytest.mark.parametrize(
    ("field", "operator", "value", "names"),
    [
        ("age", "gt", 17, ["Ada"]),
        ("age", "gte", 17, ["Ada", "Bob"]),
        ("age", "lt", 18.5, ["Bob"]),
        ("age", "lte", 36, ["Ada", "Bob"]),
        ("age", "eq", 36.0, ["Ada"]),
        ("age", "eq", None, ["Cy"]),
        ("age", "ne", 36, ["Bob", "Cy"]),
        ("at.city", "eq", "Paris", ["Bob"]),
        ("at.city", "ne", "Paris", ["Ada", "Cy"]),
        ("at.city", "exists", None, ["Ada", "Bob"]),
        ("at.city", "exists", False, ["Cy"]),
        ("tags", "contains", "code", ["Ada", "Cy"]),
        ("name", "contains", "o", ["Bob"]),
        ("at", "contains", "city", ["Ada", "Bob"]),
        ("name", "startswith", "A", ["Ada"]),
        ("name", "endswith", "y", ["Cy"]),
        ("name", "lt", "B", ["Ada"]),
    ],
)
async def test_filter(field: str, operator: str, value: Any, names: list[str]) -> None:
    condition = {"field": field, "operator": operator, "value": value}
    kept = await result_of(PEOPLE, "filter", condition=condition)
    assert [person["name"] for person in kept] == names


async def test_true_is_not_one() -> None:
    condition = {"field": "$", "operator": "eq", "value": 1}
    assert await result_of([True, 1, 1.0, "1"], "filter", condition=condition) == [1, 1.0]


async def test_pick_and_omit() -> None:
    assert await result_of(PEOPLE[0], "pick", keys=["name", "x"]) == {"name": "Ada"}
    assert await result_of(PEOPLE[1:2], "omit", keys=["tags", "at"]) == [{"name": "Bob", "age": 17}]


async def test_merge() -> None:
    over = {"a": {"y": 2}, "b": [2]}
    merged = await result_of({"a": {"x": 1, "y": 1}, "b": [1]}, "merge", merge_with=over)
    assert merged == {"a": {"x": 1, "y": 2}, "b": [2]}
    assert await result_of([1], "merge", merge_with=[2]) == [1, 2]


async def test_flatten() -> None:
    assert await result_of([1, [2, [3, []]], {"a": [4]}], "flatten") == [1, 2, 3, {"a": [4]}]
    nested = {"a": {"b": [1, {"c": 2}]}, "odd key": {"x.y": 3}, "e": {}}
    assert await result_of(nested, "flatten") == {
        "a.b[0]": 1,
        "a.b[1].c": 2,
        '["odd key"]["x.y"]': 3,
        "e": {},
    }


async def test_sort_is_stable_and_puts_nothing_last() -> None:
    ages = await result_of(PEOPLE, "sort", sort_key="age")
    assert [person["name"] for person in ages] == ["Bob", "Ada", "Cy"]
    cities = await result_of(PEOPLE, "sort", sort_key="at.city", sort_order="desc")
    assert [person["name"] for person in cities] == ["Bob", "Ada", "Cy"]
    pairs = [[1, "a"], [0, "b"], [1, "c"], [0, "d"]]
    down = await result_of(pairs, "sort", sort_key="[0]", sort_order="desc")
    assert [pair[1] for pair in down] == ["a", "c", "b", "d"]
    assert await result_of(["b", None, "a"], "sort") == ["a", "b", None]


@pytest.mark.parametrize(
    ("data", "operation", "params", "reason"),
    [
        ({}, "extract", {}, "argument_missing"),
        ([{}], "map", {}, "argument_missing"),
        ({}, "pick", {}, "argument_missing"),
        ([], "filter", {}, "argument_missing"),
        ({}, "merge", {}, "argument_missing"),
        ({}, "extract", {"path": "a..b"}, "path_invalid"),
        ({}, "extract", {"path": "a[b]"}, "path_invalid"),
        ({}, "extract", {"path": ""}, "path_invalid"),
        ({}, "extract", {"path": ".a"}, "path_invalid"),
        ({}, "extract", {"path": "$a"}, "path_invalid"),
        ({}, "extract", {"path": '["\\x"]'}, "path_invalid"),
        ({"a": 1}, "extract", {"path": "a[*]"}, "path_not_found"),
        ({}, "map", {"path": "a"}, "type_mismatch"),
        (3, "flatten", {}, "type_mismatch"),
        ([3], "pick", {"keys": ["a"]}, "type_mismatch"),
        (3, "omit", {"keys": ["a"]}, "type_mismatch"),
        ({}, "merge", {"merge_with": []}, "type_mismatch"),
        ([1, "a"], "sort", {}, "not_comparable"),
        ([True, 1], "sort", {}, "not_comparable"),
        ([[]], "sort", {}, "not_comparable"),
        (["12"], "filter", {"condition": IS | {"operator": "gt"}}, "not_comparable"),
        ([3], "filter", {"condition": IS | {"operator": "contains"}}, "not_comparable"),
        ([3], "filter", {"condition": IS | {"operator": "startswith"}}, "not_comparable"),
        (2**60, "extract", {"path": "$"}, "not_json"),
        ([0] * 100_001, "flatten", {}, "too_large"),
        ("x" * (10 * 1024 * 1024), "extract", {"path": "$"}, "too_large"),
        (["x" * 1_000_000], "map", {"mapping": {str(n): "$" for n in range(20)}}, "too_large"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done(
    data: Any, operation: str, params: dict[str, Any], reason: str
) -> None:
    assert await reason_of(data, operation, **params) == reason


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


async def test_depth_is_limited() -> None:
    assert await result_of(nested(100), "flatten") == [1]
    assert await reason_of(nested(101), "flatten") == "too_deep"


@pytest.mark.parametrize("path", ["__class__", "$.__class__.__mro__", "{{x}}", "a; import os"])
async def test_nothing_is_evaluated(path: str) -> None:
    assert await reason_of({"a": 1}, "extract", path=path) == "path_not_found"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
paths = st.sampled_from(["$", "a", "[0]", "[*].a", "a[*]", "", "..", "[*][*]"]) | st.text(
    max_size=8
)
inputs = st.fixed_dictionaries(
    {
        "data": json_values,
        "operation": st.sampled_from(
            ["extract", "map", "filter", "pick", "omit", "merge", "flatten", "sort"]
        ),
    },
    optional={
        "path": paths,
        "mapping": st.dictionaries(st.text(max_size=3), paths, max_size=3),
        "keys": st.lists(st.text(max_size=3), max_size=3),
        "condition": st.fixed_dictionaries(
            {
                "field": paths,
                "operator": st.sampled_from(
                    ["eq", "ne", "gt", "gte", "lt", "lte", "contains", "startswith", "endswith"]
                ),
                "value": json_values,
            }
        ),
        "merge_with": json_values,
        "sort_key": paths,
        "sort_order": st.sampled_from(["asc", "desc"]),
        "use_default": st.booleans(),
    },
)


@tuned(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs)
def test_it_fails_with_skill_failures_only(params: dict[str, Any]) -> None:
    try:
        request = JsonTransformInput.model_validate(params)
    except ValidationError:
        return
    context = SkillContext(settings=settings())
    try:
        output = asyncio.run(json_transform(request, context))
    except SkillFailure as failure:
        code = failure.code
    else:
        code = "OK"
        assert output.result_hash == content_hash(output.result)
        assert asyncio.run(json_transform(request, context)) == output
    assert code in ("OK", "ERR_TRANSFORM_FAILED")


@tuned(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=4), json_values, min_size=1, max_size=4))
def test_the_keys_of_a_flattened_object_are_paths_into_it(value: dict[str, Any]) -> None:
    leaves = flattened(value)
    assert isinstance(leaves, dict)
    for path, leaf in leaves.items():
        assert find(value, parse(path)) is leaf


def test_a_step_into_a_scalar_leads_nowhere() -> None:
    for path in ("a.b", "a[0]", "a[*]"):
        with pytest.raises(PathLeadsNowhere):
            find({"a": 1}, parse(path))
