"""What a model call costs, in whole millionths of a US dollar, always rounded up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from ..contracts import Usage

FREE_PROVIDERS = frozenset({"scripted"})

DEFAULT_INPUT_USD = Decimal(30)
DEFAULT_OUTPUT_USD = Decimal(150)
"""Per million tokens of a model without a known price: twice the dearest Claude so far, so that an
unknown model exhausts a budget early rather than late."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """A cost, and whether it rests on a known price or on the default above."""

    microusd: int
    priced: bool


def price_of(usage: Usage, *, cache_write_tokens: int = 0) -> Price:
    """The price of one call. `usage.input_tokens` includes cached and cache-written tokens."""
    if usage.provider in FREE_PROVIDERS:
        return Price(0, priced=True)
    dollars = _known(usage, cache_write_tokens)
    priced = dollars is not None
    if dollars is None:
        tokens = usage.input_tokens * DEFAULT_INPUT_USD + usage.output_tokens * DEFAULT_OUTPUT_USD
        dollars = tokens / _MILLION
    return Price(int((dollars * _MILLION).to_integral_value(ROUND_CEILING)), priced)


def _known(usage: Usage, cache_write_tokens: int) -> Decimal | None:
    import genai_prices  # noqa: PLC0415 - its price tables stay out of agent processes

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=cache_write_tokens,
    )
    try:
        return genai_prices.calc_price(counted, usage.model, provider_id=usage.provider).total_price
    except LookupError:
        return None
