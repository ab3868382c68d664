"""Bars as SVG, without a library. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _RIGHT, _TOP, _ROW, _BAR = 250, 90, 44, 26, 16
_WIDTH = 820
_OURS, _THEIRS, _BOUND = "#2563eb", "#94a3b8", "#cbd5e1"


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its range. `ours` and `bound` (floor, ceiling) have their colours."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False
    bound: bool = False


def bars(title: str, unit: str, given: Sequence[Bar]) -> str:
    """A horizontal bar chart; whiskers are the range of the repetitions."""
    height = _TOP + _ROW * len(given) + 16
    top = max((bar.high for bar in given), default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for place, bar in enumerate(given):
        parts += _row(bar, unit, _TOP + _ROW * place, scale)
    return "\n".join([*parts, "</svg>", ""])


def _row(bar: Bar, unit: str, top: float, scale: float) -> list[str]:
    colour = _OURS if bar.ours else _BOUND if bar.bound else _THEIRS
    middle = top + _BAR / 2
    low, high = _LEFT + bar.low * scale, _LEFT + bar.high * scale
    return [
        f'<text x="{_LEFT - 8}" y="{middle + 4:g}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{_LEFT}" y="{top:g}" width="{bar.value * scale:.1f}" height="{_BAR}" '
        f'fill="{colour}"/>',
        f'<path d="M{low:.1f} {middle:g}H{high:.1f}" stroke="#334155" stroke-width="1.5"/>',
        f'<text x="{high + 6:.1f}" y="{middle + 4:g}">{bar.value:,.0f} {escape(unit)}</text>',
    ]
