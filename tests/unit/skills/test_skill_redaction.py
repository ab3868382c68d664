from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.skill_calls import settings

from aos.skills.redaction import MASK, redact_json, redactor

KEY = "sk-ant-very-secret"
URL = "postgresql://aos:p%40ss-w0rd@db.example.com/aos"


def test_every_secret_setting_is_masked_however_it_is_spelt() -> None:
    redact = redactor(settings(anthropic_api_key=KEY, database_url=URL))
    assert redact(f"key={KEY}!") == f"key={MASK}!"
    assert redact(f"cannot connect to {URL}") == f"cannot connect to {MASK}"
    assert redact("password p%40ss-w0rd, decoded p@ss-w0rd") == f"password {MASK}, decoded {MASK}"


def test_secrets_with_quotes_are_masked_inside_literals_and_json() -> None:
    redact = redactor(settings(anthropic_api_key='ab"cd\\ef'))
    assert redact(repr('ab"cd\\ef')) == f"'{MASK}'"
    assert redact('{"k": "ab\\"cd\\\\ef"}') == f'{{"k": "{MASK}"}}'


def test_what_is_too_short_to_be_a_secret_is_left_alone() -> None:
    assert redactor(settings(anthropic_api_key="abc"))("abc") == "abc"


def test_without_secrets_nothing_changes() -> None:
    assert redactor(settings())("text") == "text"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(f"x{KEY}y"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(KEY), inner),
        max_leaves=10,
    )
)
def test_no_json_value_keeps_a_secret(value: object) -> None:
    redact = redactor(settings(anthropic_api_key=KEY))
    assert KEY not in repr(redact_json(value, redact))
