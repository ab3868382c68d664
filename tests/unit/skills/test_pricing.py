from __future__ import annotations

import pytest

from aos.skills.contracts import Usage
from aos.skills.llm.pricing import Price, price_of


def usage(model: str = "claude-sonnet-5-5", provider: str = "anthropic", **counts: int) -> Usage:
    return Usage(provider=provider, model=model, **counts)


@pytest.mark.parametrize(
    ("counted", "writes", "microusd"),
    [
        # claude-sonnet-5-5 per million tokens: 2 $ in, 10 $ out, 0.1 $ cached, 2.5 $ written
        (usage(input_tokens=1_000, output_tokens=100), 0, 3_000),
        (usage(input_tokens=1_000, cached_tokens=1_000), 0, 100),
        (usage(input_tokens=1_000), 1_000, 2_500),
        (usage(input_tokens=1_000, cached_tokens=500, output_tokens=10), 100, 1_200),
        (usage(output_tokens=1), 0, 10),
        (usage(), 0, 0),
    ],
)
def test_a_known_model(counted: Usage, writes: int, microusd: int) -> None:
    assert price_of(counted, cache_write_tokens=writes) == Price(microusd, priced=True)


def test_a_dated_name_of_a_known_model() -> None:
    dated = usage("claude-sonnet-4-5-20250929", input_tokens=1_000)
    assert price_of(dated) == Price(3_000, priced=True)


@pytest.mark.parametrize("provider", ["anthropic", "nobody"])
def test_an_unknown_model_is_dear_and_marked(provider: str) -> None:
    unknown = usage("mystery-9", provider, input_tokens=1_000, output_tokens=1_000)
    assert price_of(unknown) == Price(30_000 + 150_000, priced=False)


def test_fractions_are_rounded_up() -> None:
    assert price_of(usage("claude-haiku-5-5", input_tokens=1)).microusd == 1


def test_the_scripted_model_is_free() -> None:
    assert price_of(usage("any", "scripted", input_tokens=10**9)) == Price(0, priced=True)
