from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import SAFE, finite, json_values, safe_integers

from aos.cluster.canonical import NotCanonical, bytes_hash, canonical, content_hash, readable

# RFC 8785, appendix B: the bits of a double, and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
# RFC 8785, 3.2.3: keys in the order that UTF-16 gives them.
SORTED = {
    "\r": "Carriage Return",
    "1": "One",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
    "\u20ac": "Euro Sign",
    "\U0001f600": "Emoji: Grinning Face",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
}

high = st.characters(min_codepoint=0xD000, exclude_categories=["Cs"])
anything = st.recursive(
    st.none() | st.booleans() | safe_integers | finite | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_rfc_lists_them(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical([number]).decode() == f"[{text}]"


def test_keys_are_in_the_order_of_utf_16() -> None:
    shuffled = dict(reversed(SORTED.items()))
    assert list(json.loads(canonical(shuffled)).items()) == list(SORTED.items())


def test_the_example_of_the_rfc() -> None:
    value = json.loads(
        r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
             "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
             "literals": [null, true, false]}"""
    )
    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@given(anything)
def test_it_writes_what_the_reference_implementation_writes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(high, min_size=1), st.none()))
def test_keys_around_the_surrogates_too(value: dict[str, None]) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(json_values)
def test_the_order_in_which_an_object_was_made_does_not_matter(value: Any) -> None:
    pair = {"b": value, "a": [value], "c": {}}
    assert content_hash(pair) == content_hash(dict(reversed(pair.items())))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        SAFE + 1,
        -SAFE - 1,
        "\ud800",
        {"\udfff": 1},
        {1: "one"},
        {None: 1},
        {"a", "b"},
        b"bytes",
        object(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": {"l": v}}])
def test_what_has_no_canonical_form_is_refused(value: object, wrap: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(wrap(value))


@given(anything)
def test_what_was_written_and_read_back_can_be_written_again(value: Any) -> None:
    written = canonical(value)
    assert canonical(readable(json.loads(written))) == written


def test_only_numbers_that_were_floats_are_read_as_such() -> None:
    read = readable(json.loads(canonical({"n": [SAFE, -SAFE, True, 1e17, float(2**53), "1"]})))
    assert [type(each) for each in read["n"]] == [int, int, bool, float, float, str]


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotCanonical):
        canonical(endless)


def test_the_largest_integers_are_kept() -> None:
    assert canonical([SAFE, -SAFE]) == b"[9007199254740991,-9007199254740991]"


def test_true_is_not_one() -> None:
    assert canonical([True, 1, False, 0]) == b"[true,1,false,0]"


def test_hashes_name_their_algorithm() -> None:
    # echo -n '{"a":1}' | sha256sum
    digest = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert content_hash({"a": 1}) == bytes_hash(b'{"a":1}') == f"sha256:{digest}"
