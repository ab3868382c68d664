from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.cluster.credentials import MASK, is_reference, mask_credentials, names_credential

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
# Put together here, so that nobody's scanner takes this file for a leak.
CREDENTIALS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ASIA" + "IOSFODNN7EXAMPLE",
    *(f"gh{kind}_" + "a1B2" * 9 for kind in "pousr"),
    "github_pat_" + "11AAAA_" * 6,
    *(f"xox{kind}-" + "12345-abcde-XYZ" for kind in "bpa"),
    "sk-" + "proj-A1b2" * 4,
    "sk-ant-" + "api03-abc_def-123",
    "sk_live_" + "0123456789ab",
    "AIza" + "b" * 35,
    JWT,
    PEM,
    f"aos_{'a' * 8}_{'b' * 43}",
]
MARKS = (
    *("bearer", "authorization", "://", "private", "akia", "asia", "aiza", "eyj", "sk-", "aos_"),
    *("xox", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "k_live_", "k_test_"),
)
AROUND = ("{}", "key {} was refused", '{{"k":"{}"}}', "a={}&b", "[{}]", "({}),", "x\n{}\n")


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_known_shapes_are_masked_wherever_they_stand(credential: str) -> None:
    for around in (
        "{}",
        "key {} was refused",
        '{{"k":"{}"}}',
        "a={}&b",
        "[{}]",
        "({}),",
        "x\n{}\n",
    ):
        assert mask_credentials(around.format(credential)) == around.format(MASK)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Basic YTpi", f"Authorization: Basic {MASK}"),
        ("authorization=bearer x next", f"authorization=bearer {MASK} next"),
        ('"Authorization": "Token abc"', f'"Authorization": "Token {MASK}"'),
        ('{\\"authorization\\":\\"Bearer a\\"}', f'{{\\"authorization\\":\\"Bearer {MASK}\\"}}'),
        ("('authorization', 'Bearer a')", f"('authorization', 'Bearer {MASK}')"),
        ("sent Bearer abcdefghij0123456789=.", f"sent Bearer {MASK}"),
        ("postgresql://aos:hunter2@db/aos", f"postgresql://aos:{MASK}@db/aos"),
        ("redis://:hunter2@cache:6379", f"redis://:{MASK}@cache:6379"),
        ("-----BEGIN PRIVATE KEY-----\ncut off here", MASK),
        (f"{PEM}sk-{'a1' * 10}", MASK + MASK),
    ],
)
def test_credentials_in_their_surroundings(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of bad certificates and understandings",
        "Authorization: required",
        "Authorization: Bearer {{login.token}}",
        "http://127.0.0.1:8080/path?mail=a@b.example",
        "task-force-1234567890123456 and disk-1234567890123456789",
        "sk-learn-tutorial-introduction",
        "AKIAIOSFODNN7EXAMPLEX",
        "0190c0de-0000-7000-8000-000000000000/pay/1",
        "sha256:" + "0a" * 32,
        "-----BEGIN PUBLIC KEY-----",
        "eyJ.x.y",
        "aos_runs_total",
    ],
)
def test_what_only_looks_like_one_is_left(text: str) -> None:
    assert mask_credentials(text) == text


@given(st.text(max_size=200).filter(lambda text: not any(mark in text.lower() for mark in MARKS)))
def test_texts_without_a_mark_of_one_are_never_changed(text: str) -> None:
    assert mask_credentials(text) == text


pieces = st.sampled_from(
    [*CREDENTIALS, *MARKS, MASK, "Authorization: Bearer ", "a1" * 10, "u:p@", "-", " ", "_", "\n"]
)


@given(st.lists(pieces | st.text(max_size=3), max_size=12).map("".join))
def test_masking_again_changes_nothing(text: str) -> None:
    once = mask_credentials(text)
    assert mask_credentials(once) == once


@pytest.mark.parametrize(
    "start",
    [
        "eyJ",
        "sk-",
        "://a",
        "://a:",
        "xoxb-",
        "ghp_",
        "bearer ",
        "AIza",
        "authorization: ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_no_text_takes_long(start: str) -> None:
    """Two million characters; a shape that began at each of them would need minutes."""
    began = time.process_time()
    mask_credentials(start * (2_000_000 // len(start)))
    assert time.process_time() - began < 5


def test_names_of_credentials() -> None:
    for name in ("password", "PASSWORD", "apiKey", "X-API-Key", "access-token", "clientSecret",
                 "_token", "SECRET_ACCESS_KEY", "Proxy-Authorization"):  # fmt: skip
        assert names_credential(name)
    for name in ("", "key", "idempotency_key", "Idempotency-Key", "tokens", "input_tokens",
                 "next_page_token", "secretary", "password_hint", "token" * 1_000):  # fmt: skip
        assert not names_credential(name)


def test_references_are_no_secrets() -> None:
    assert is_reference("{{login.token}}")
    assert is_reference("Bearer {{ login.token }} ")
    assert not is_reference("{{login.token}} hunter2")
    assert not is_reference("Bearer hunter2")
