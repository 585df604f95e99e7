"""Line and scatter charts as inline SVG: they follow the page's light and dark theme, which matplotlib's cannot.

Every series has a colour, a dash and a marker of its own, so the charts also read in greyscale. Colours are CSS classes
``s0`` to ``s11`` of the page.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup, escape

NUM_STYLES = 9
# Not a multiple of the dashes and markers: 36 series all look different.
NUM_COLOURS = 12
_STYLES = Path(__file__).parent.parent / "template" / "chart.css"
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2", "9 3 2 3 2 3", "14 3 1 3")
# Each fits a circle of radius 1 around the origin.
_MARKERS = (
    "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0Z",
    "M-.85 -.85H.85V.85H-.85Z",
    "M0 -1.1L1 .75H-1Z",
    "M0 -1.15L1.15 0L0 1.15L-1.15 0Z",
    "M0 1.1L1 -.75H-1Z",
    "M-.35 -1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "M-1.1 0L-.3 -.3L0 -1.1L.3 -.3L1.1 0L.3 .3L0 1.1L-.3 .3Z",
    "M-1 -.6L0 -1.1L1 -.6V.6L0 1.1L-1 .6Z",
    "M-1.1 -.45H1.1V.45H-1.1Z",
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 38
_WIDE = 600


@dataclass(frozen=True)
class Series:
    """One line of a line chart, or one point or path of a scatter chart."""

    label: str
    points: Sequence[tuple[float, float]]
    style: int
    is_bold: bool = False


@dataclass(frozen=True)
class Frame:
    """Axes of a chart: data ranges and the size of the picture."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the picture's coordinates of a point of the data."""
        return (
            _LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - _LEFT - _RIGHT),
            self.height - _BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (self.height - _TOP - _BOTTOM),
        )


def line_chart(
    series: Sequence[Series],
    size: tuple[int, int],
    labels: tuple[str, str],
    y_range: tuple[float, float] | None = None,
    borders: Sequence[float] = (),
) -> Markup:
    """Draw series as lines with a few markers.

    ``labels`` are those of the x and y axes; ``borders`` are places on the x axis where something new began.
    """
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    frame = Frame(_range([0.0, *xs]), y_range or _range(ys), *size)
    places = [frame.place(border, frame.y[0])[0] for border in borders]
    drawn = "".join(f'<path class="zero" d="M{x:.1f} {_TOP}V{frame.height - _BOTTOM}"/>' for x in places)
    return _svg(frame, labels, drawn + "".join(_line(frame, one) for one in series), is_read=True)


def scatter_chart(series: Sequence[Series], size: tuple[int, int], labels: tuple[str, str]) -> Markup:
    """Draw a labelled marker per series, with lines through zero, which stands for the reference.

    A series of several points is joined by a line, and labelled at its first.
    """
    xs = [0.0, *(x for one in series for x, _ in one.points)]
    ys = [0.0, *(y for one in series for _, y in one.points)]
    frame = Frame(_range(xs, margin=0.18), _range(ys, margin=0.1), *size)
    zero_x, zero_y = frame.place(0, 0)
    lines = f"M{zero_x:.1f} {_TOP}V{frame.height - _BOTTOM}M{_LEFT} {zero_y:.1f}H{frame.width - _RIGHT}"
    body = f'<path class="zero" d="{lines}"/>'
    taken: list[tuple[float, float, float, float]] = []
    places = [[frame.place(*point) for point in one.points] for one in series]
    taken.extend((x - 7, y - 7, x + 7, y + 7) for path in places for x, y in path)
    taken.extend((x - 2, y - 2, x + 2, y + 2) for path in places for x, y in _along(path))
    for one, path in zip(series, places, strict=True):
        if len(path) > 1:
            body += f'<path class="line s{one.style % NUM_COLOURS}" d="{_joined(path)}"/>'
        body += _marker(one.style, *path[0], 6) + "".join(_marker(one.style, x, y, 3.5) for x, y in path[1:])
        body += _point_label(one, path[0], frame, taken)
    return _svg(frame, labels, body)


def styles() -> str:
    """Return the charts' style sheet, with the colours of light and dark pages."""
    return _STYLES.read_text(encoding="utf-8")


def standalone(chart: Markup, legend: Sequence[Series] = ()) -> str:
    """Return a chart as a file of its own, with its styles, a background, and a legend in its upper right."""
    opening, body = chart.split(">", 1)
    rows = "".join(
        f'<g transform="translate(0 {_TOP + 16 * number})">'
        f'<svg x="62%" width="32" height="12" viewBox="0 0 32 12">{_sample(one.style, one.is_bold)}</svg>'
        f'<text class="label" x="62%" dx="40" y="10">{escape(one.label)}</text></g>'
        for number, one in enumerate(legend)
    )
    return (
        f'{opening} xmlns="http://www.w3.org/2000/svg"><style>\n{styles()}</style>'
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{body.removesuffix("</svg>")}{rows}</svg>\n'
    )


def legend_mark(style: int, is_bold: bool = False) -> Markup:
    """Draw the sample of a line that stands in a legend."""
    sample = _sample(style, is_bold)
    return Markup(f'<svg class="mark" viewBox="0 0 32 12" width="32" height="12" aria-hidden="true">{sample}</svg>')


def range_of(series: Sequence[Series]) -> tuple[float, float]:
    """Return the y range that holds all series, for charts that share an axis."""
    return _range([y for one in series for _, y in one.points])


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers within a range, about ``count`` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _range(values: Sequence[float], margin: float = 0.04) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    space = (high - low) * margin
    # A loss or a step below zero does not exist: do not draw the room for it.
    return (low if low == 0 and margin < 0.05 else low - space), high + space


def _svg(frame: Frame, labels: tuple[str, str], body: str, is_read: bool = False) -> Markup:
    """Draw axes around what is in them; ``is_read``: the page's script reads values off the lines, so it says where."""
    x_label, y_label = (escape(label) for label in labels)
    bottom = frame.height - _BOTTOM
    parts = []
    for tick in ticks(*frame.y, count=max(2, frame.height // 60)):
        _, y = frame.place(frame.x[0], tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{frame.width - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in ticks(*frame.x, count=max(2, frame.width // 95)):
        x, _ = frame.place(tick, frame.y[0])
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{frame.width - _RIGHT}"/>')
    middle = (_LEFT + frame.width - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle:.0f}" y="{frame.height - 4}" text-anchor="middle">{x_label}</text>')
    parts.append(f'<text class="label" x="0" y="11">{y_label}</text>')
    name = f"{y_label} against {x_label}"
    # On a phone, a picture as wide as the page shrinks more than others, and its letters must not.
    kind = "chart wide" if frame.width > _WIDE else "chart"
    sides = (*frame.x, *frame.y, _LEFT, frame.width - _RIGHT, _TOP, bottom)
    frame_of = f' data-frame="{" ".join(f"{side:.6g}" for side in sides)}"' if is_read else ""
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{name}"{frame_of}>'
        f"{''.join(parts)}{body}</svg>"
    )


def _sample(style: int, is_bold: bool) -> str:
    weight = " bold" if is_bold else ""
    line = f'<path class="line s{style % NUM_COLOURS}{weight}" d="M1 6H31"{_dash(style, is_bold)}/>'
    return line + ("" if is_bold else _marker(style, 16, 6, 3.5))


def _line(frame: Frame, series: Series) -> str:
    places = [frame.place(x, y) for x, y in series.points]
    weight = " bold" if series.is_bold else ""
    style, dash = f"line s{series.style % NUM_COLOURS}{weight}", _dash(series.style, series.is_bold)
    drawn = f'<path class="{style}" d="{_joined(places)}"{dash}/>'
    if not series.is_bold:
        # Markers of different series start at different places, so that close lines do not cover one another's.
        every = max(1, len(places) // 6)
        drawn += "".join(_marker(series.style, x, y, 3.2) for x, y in places[(series.style * every) // 5 :: every])
    points = " ".join(f"{x:.6g},{y:.5g}" for x, y in series.points)
    label = escape(series.label)
    return f'<g data-label="{label}" data-points="{points}"><title>{label}</title>{drawn}</g>'


def _along(path: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield places on the lines of a path, so close that no label fits between."""
    for (x, y), (next_x, next_y) in pairwise(path):
        count = 1 + int(math.dist((x, y), (next_x, next_y)) / 8)
        yield from ((x + (next_x - x) * part / count, y + (next_y - y) * part / count) for part in range(count))


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _dash(style: int, is_bold: bool) -> str:
    dash = "" if is_bold else _DASHES[style % NUM_STYLES]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _marker(style: int, x: float, y: float, radius: float) -> str:
    place = f"translate({x:.1f} {y:.1f}) scale({radius})"
    shape = _MARKERS[style % NUM_STYLES]
    return f'<path class="marker s{style % NUM_COLOURS}" d="{shape}" transform="{place}"/>'


def text_width(text: str) -> float:
    """Return a width that is enough for a text in a proportional font of 12 px; Korean syllables are twice as wide."""
    return sum(12 if ord(character) > 0x1100 else 6.4 for character in text)


def _point_label(
    series: Series, place: tuple[float, float], frame: Frame, taken: list[tuple[float, float, float, float]]
) -> str:
    """Put a label beside its marker where it covers nothing; the last resort is right of it."""
    x, y = place
    width = text_width(series.label)
    options = [
        ("start", x + 10, y + 4),
        ("end", x - 10, y + 4),
        ("middle", x, y - 12),
        ("middle", x, y + 20),
        ("start", x + 8, y - 10),
        ("start", x + 8, y + 18),
        ("end", x - 8, y - 10),
        ("end", x - 8, y + 18),
        ("start", x + 4, y - 24),
        ("end", x - 4, y - 24),
        ("start", x + 4, y + 32),
        ("end", x - 4, y + 32),
    ]
    left_of = {"start": 0.0, "middle": -width / 2, "end": -width}
    boxes = [(a, (bx + left_of[a], by - 11, bx + left_of[a] + width, by + 4), bx, by) for a, bx, by in options]
    free = [
        option
        for option in boxes
        if option[1][0] >= 2
        and option[1][2] <= frame.width
        and option[1][1] >= _TOP
        and option[1][3] <= frame.height - _BOTTOM
        and not any(_overlap(option[1], other) for other in taken)
    ]
    anchor, box, label_x, label_y = (free or boxes)[0]
    taken.append(box)
    return (
        f'<text class="point" x="{label_x:.1f}" y="{label_y:.1f}" text-anchor="{anchor}">{escape(series.label)}</text>'
    )


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _number(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k".replace("-", "−")
    return f"{value:.10g}".replace("-", "−") if abs(value) > 1e-12 else "0"
