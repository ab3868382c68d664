"""What credentials look like, and their removal from texts that are kept.

A net under the rule that secrets go nowhere: it knows the shapes that issuers have given their
keys so that they can be found, and the names that people give to secrets. It is linear in the text,
changes nothing in a text without such a shape, and applied twice it does what it does once.
"""

from __future__ import annotations

import re
from functools import lru_cache

MASK = "[redacted]"

_LONGEST_NAME = 40
_SHORTEST = 6
"""No shape has fewer characters: `://:x@`."""

# (what must occur, in lower case; the shape; what stands in its place). Each shape begins where no
# token can have begun before, so that a long run of its characters is looked at once; that is asked
# after the first letters, which the engine finds fast.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
        MASK,
    ),
    (
        ("authorization",),
        re.compile(
            r"""([Aa](?i:uthorization)\\?["']?\s{0,4}[:=,]\s{0,4}\\?["']?"""
            r"""(?i:basic|bearer|digest|negotiate|token|apikey)\s{1,4})[^\s"',;\\\[\]{}]+"""
        ),
        rf"\1{MASK}",
    ),
    (
        ("bearer",),
        re.compile(
            r"([Bb](?<![A-Za-z0-9].)(?i:earer)\s{1,4})(?=[A-Za-z._~+/=-]*\d)[A-Za-z0-9._~+/=-]{16,}"
        ),
        rf"\1{MASK}",
    ),
    (("://",), re.compile(r"""(://[^\s/?#@:"'<>]*:)[^\s/?#@"'<>]+@"""), rf"\1{MASK}@"),
    (
        ("akia", "asia"),
        re.compile(r"A(?<![A-Za-z0-9]A)(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        MASK,
    ),
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        re.compile(r"gh(?<![A-Za-z0-9]gh)[pousr]_[A-Za-z0-9]{20,}"),
        MASK,
    ),
    (
        ("github_pat_",),
        re.compile(r"github_pat_(?<![A-Za-z0-9_]github_pat_)[A-Za-z0-9_]{20,}"),
        MASK,
    ),
    (("xox",), re.compile(r"xox(?<![A-Za-z0-9-]xox)[abeoprs]-[A-Za-z0-9-]{10,}"), MASK),
    (
        ("sk-",),
        re.compile(r"sk-(?<![A-Za-z0-9_-]sk-)(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}"),
        MASK,
    ),
    (
        ("k_live_", "k_test_"),
        re.compile(r"[rs](?<![A-Za-z0-9_].)k_(?:live|test)_[A-Za-z0-9]{10,}"),
        MASK,
    ),
    (("aiza",), re.compile(r"AIza(?<![A-Za-z0-9_-]AIza)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"), MASK),
    (
        ("eyj",),
        re.compile(r"eyJ(?<![A-Za-z0-9_.-]eyJ)[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        MASK,
    ),
    (
        ("aos_",),
        re.compile(r"aos_(?<![A-Za-z0-9_-]aos_)[A-Za-z0-9_-]{8}_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
        MASK,
    ),
)  # fmt: skip

_NAMES = frozenset({
    "access_key", "access_token", "api_key", "api_secret", "api_token", "apikey", "auth_token",
    "authorization", "bearer_token", "client_secret", "id_token", "passphrase", "passwd",
    "password", "private_key", "proxy_authorization", "pwd", "refresh_token", "secret",
    "secret_access_key", "secret_key", "session_token", "token", "x_api_key",
})  # fmt: skip
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(r"\s*(?:[A-Za-z]+\s+)?\{\{[^{}]*\}\}\s*")


_HINTS = tuple((hint, place) for place, (hints, *_) in enumerate(_SHAPES) for hint in hints)


def mask_credentials(text: str) -> str:
    """The text with `[redacted]` for each credential whose shape is known: `Authorization` headers
    and bearer tokens, passwords in URLs, PEM private keys, JSON web tokens, keys of AWS, GitHub,
    Slack, Stripe, Google, OpenAI and Anthropic, and of AOS itself.
    """
    if len(text) < _SHORTEST:
        return text
    lower = text.lower()
    places = sorted({place for hint, place in _HINTS if hint in lower})
    # A mask may uncover the beginning of another shape. Each round masks more, so this ends.
    while places and (masked := _masked_once(text, places)) != text:
        text = masked
    return text


def _masked_once(text: str, places: list[int]) -> str:
    for place in places:
        _, shape, mask = _SHAPES[place]
        text = shape.sub(mask, text)
    return text


def names_credential(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `apiKey`, `X-Api-Key`, `token`, …
    A key of idempotency, a page token or a count of tokens is none.
    """
    return len(name) <= _LONGEST_NAME and _is_name(name)


@lru_cache(maxsize=4096)
def _is_name(name: str) -> bool:
    words = _HUMP.sub("_", name.strip()).replace("-", "_").replace(" ", "_")
    return words.lower().strip("_") in _NAMES


def is_reference(text: str) -> bool:
    """Whether a value only says where to take the secret from: `{{login.token}}`, also after the
    name of a scheme.
    """
    return _REFERENCE.fullmatch(text) is not None
