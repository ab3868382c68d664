"""Bars and curves as SVG, without a library. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

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


_HEIGHT, _BOTTOM, _NAMES = 420, 44, 130
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#475569")


@dataclass(frozen=True, slots=True)
class Curve:
    """Values by size; both positive."""

    label: str
    points: Sequence[tuple[float, float]]


def curves(title: str, given: Sequence[Curve]) -> str:
    """Lines over sizes; both axes are logarithmic, and what is flat is drawn flat."""
    across = _Axis.over([x for curve in given for x, _ in curve.points], 60, _WIDTH - _NAMES)
    up = _Axis.over([y for curve in given for _, y in curve.points], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for power in range(across.low, across.high + 1):
        x = across.at(10**power)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="{_BOUND}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{10**power:,}</text>'
        )
    for power in range(up.low, up.high + 1):
        y = up.at(10**power)
        parts.append(f'<path d="M60 {y:.1f}H{_WIDTH - _NAMES}" stroke="{_BOUND}"/>')
        parts.append(f'<text x="52" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for colour, curve in zip(_COLOURS, given, strict=False):
        places = [(across.at(x), up.at(y)) for x, y in curve.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = places[-1]
        parts.append(
            f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(curve.label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class _Axis:
    """Powers of ten from `low` to `high`, between two places in the picture."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low = floor(log10(min(values, default=1)))
        return cls(low, max(low + 1, ceil(log10(max(values, default=1)))), start, end)

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)
