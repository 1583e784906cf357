"""Curves and bars as SVG, and tables as Markdown, without a plotting library. Text from data is escaped."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#edae49", "#6a4c93", "#00798c", "#8d5b4c", "#555555")
WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 50


def _ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Return about `wanted` round values that cover low to high."""
    if high <= low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _frame(title: str, x_label: str, y_label: str, width: int, height: int) -> list[str]:
    middle = (_LEFT + width - _RIGHT) / 2
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{middle:.1f}" y="22" text-anchor="middle" font-size="15">{escape(title)}</text>',
        f'<text x="{middle:.1f}" y="{height - 12}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(16 {height / 2:.1f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]


def draw_curves(title: str, x_label: str, y_label: str, lines: Mapping[str, Sequence[Point]]) -> str:
    """Return an SVG with one curve per name. Points that are not finite are left out; no points give an empty frame."""
    clean = {name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)] for name, line in lines.items()}
    points = [point for line in clean.values() for point in line] or [(0.0, 0.0)]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    x_span, y_span = (x_high - x_low) or 1.0, (y_high - y_low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - x_low) / x_span * (WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (y - y_low) / y_span * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = _frame(title, x_label, y_label, WIDTH, _HEIGHT)
    for value in _ticks(y_low, y_high):
        _, y = place(x_low, value)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _ticks(x_low, x_high):
        x, _ = place(value, y_low)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for index, (name, line) in enumerate(clean.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
        parts.append(
            f'<text x="{WIDTH - _RIGHT - 6}" y="{_TOP + 14 + 15 * index}" text-anchor="end" '
            f'fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def draw_bars(title: str, x_label: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return an SVG of horizontal bars: one group per row, one bar per series, in the order given."""
    series = list(dict.fromkeys(name for values in rows.values() for name in values))
    thick = 9
    group = thick * max(1, len(series)) + 6
    height = _TOP + _BOTTOM + group * len(rows) + 14 * len(series)
    top = (
        max((value for values in rows.values() for value in values.values() if math.isfinite(value)), default=1.0)
        or 1.0
    )
    parts = _frame(title, x_label, "", WIDTH, height)
    scale = (WIDTH - _LEFT - _RIGHT - 40) / top
    for value in _ticks(0.0, top):
        x = _LEFT + value * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for at, name in enumerate(series):
        line = _TOP + 12 + 14 * at
        colour = _COLOURS[at % len(_COLOURS)]
        parts.append(f'<text x="{WIDTH - _RIGHT}" y="{line}" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    y = float(_TOP + 14 * len(series))
    for row, values in rows.items():
        parts.append(f'<text x="{_LEFT - 6}" y="{y + group / 2:.1f}" text-anchor="end">{escape(row)}</text>')
        for at, name in enumerate(series):
            value = values.get(name, 0.0)
            if math.isfinite(value):
                parts.append(
                    f'<rect x="{_LEFT}" y="{y + thick * at:.1f}" width="{max(0.0, value) * scale:.1f}" '
                    f'height="{thick - 1}" fill="{_COLOURS[at % len(_COLOURS)]}"/>'
                )
                x = _LEFT + max(0.0, value) * scale + 4
                parts.append(f'<text x="{x:.1f}" y="{y + thick * (at + 1) - 1:.1f}" font-size="9">{value:.3g}</text>')
        y += group
    return "\n".join([*parts, "</svg>", ""])


def draw_intervals(title: str, rows: Mapping[str, tuple[float, float, float, float | None]]) -> str:
    """Return an SVG with a point and its interval a row: (value, low, high, mark), the mark in red where there is one.

    A value that is not finite is left out.
    """
    numbers = [number for row in rows.values() for number in row if number is not None and math.isfinite(number)]
    low, high = min([0.0, *numbers]), max([*numbers, 1e-9])
    left, step, height = 380, 18, _TOP + _BOTTOM + 18 * len(rows)
    scale = (WIDTH - left - _RIGHT) / (high - low)
    parts = _frame(title, "", "", WIDTH, height)
    for tick in _ticks(low, high):
        x = left + (tick - low) * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    for at, (name, (value, lowest, highest, mark)) in enumerate(rows.items()):
        y = _TOP + step * at + step / 2
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        places = [left + (number - low) * scale for number in (lowest, highest, value)]
        if all(map(math.isfinite, places)):
            parts.append(f'<line x1="{places[0]:.1f}" x2="{places[1]:.1f}" y1="{y}" y2="{y}" stroke="{_COLOURS[0]}"/>')
            parts.append(f'<circle cx="{places[2]:.1f}" cy="{y}" r="4" fill="{_COLOURS[0]}"/>')
        if mark is not None:
            x = left + (mark - low) * scale
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{y + 8}" stroke="{_COLOURS[1]}" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; floats have four significant digits, None is a dash."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
