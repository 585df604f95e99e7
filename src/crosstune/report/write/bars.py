"""Stacked bars as inline SVG; a part's fill has a hatch besides its colour, so that bars also read in greyscale."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from crosstune.report.write.charts import NUM_STYLES, text_width

_HATCHES = (
    "",
    "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
    "M0 3H6",
    "M3 0V6",
    "M-1 -1L7 7M-1 5L1 7M5 -1L7 1",
    "M0 3H6M3 0V6",
    "M2 2h2v2h-2z",
    "M-1 -1L7 7M7 -1L-1 7",
    "M0 1.5H3M3 4.5H6",
)


def stacked_bars(rows: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Draw one bar per row from shares of a whole; a part's fill is ``pattern_definitions``' of its place."""
    height, left, right, width = 24, 170, 52, 520
    parts = []
    for index, (label, shares) in enumerate(rows):
        top = index * height + 4
        shown = f"{escape(fitted(label, left - 12))}<title>{escape(label)}</title>"
        parts.append(f'<text class="tick" x="{left - 8}" y="{top + 11}" text-anchor="end">{shown}</text>')
        parts.append(f'<rect class="track" x="{left}" y="{top}" width="{width - left - right}" height="14"/>')
        x = float(left)
        for place, share in enumerate(shares):
            length = share * (width - left - right)
            if share:
                parts.append(
                    f'<rect class="part s{place % NUM_STYLES}" fill="url(#fill{place % NUM_STYLES})" x="{x:.1f}" '
                    f'y="{top}" width="{length:.1f}" height="14"/>'
                )
            x += length
        parts.append(
            f'<text class="tick" x="{width - right + 8}" y="{top + 11}">{escape(_percent(sum(shares)))}</text>'
        )
    name = "; ".join(f"{label}: {_percent(sum(shares))} of answers failed" for label, shares in rows)
    size = len(rows) * height + 4
    return Markup(
        f'<svg class="chart bars" viewBox="0 0 {width} {size}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg>"
    )


def fitted(label: str, room: float) -> str:
    """Return a label that is as wide as there is room, cut in its middle: systems' names often begin alike."""
    widths = [text_width(character) for character in label]
    if sum(widths) <= room:
        return label
    first, last, used = 0, len(label), text_width("…")
    while first < last:
        place = first if first <= len(label) - last else last - 1
        used += widths[place]
        if used > room:
            break
        first, last = (first + 1, last) if place == first else (first, last - 1)
    return f"{label[:first]}…{label[last:]}"


def _percent(share: float) -> str:
    """Return a share in percent that is 0 and 100 for none and all alone."""
    if 0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1 - 1e-9 else f"{100 * share:.0f} %"


def pattern_definitions() -> Markup:
    """Return the fills of bars, different in greyscale, too; once per page."""
    patterns = "".join(
        f'<pattern id="fill{index}" class="s{index}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect width="6" height="6" fill="currentColor" opacity="{0.9 if not strokes else 0.15}"/>'
        f'<path d="{strokes}" stroke="currentColor" stroke-width="1.6" fill="none"/></pattern>'
        for index, strokes in enumerate(_HATCHES)
    )
    return Markup(f'<svg class="fills" width="0" height="0" aria-hidden="true"><defs>{patterns}</defs></svg>')


def fill_mark(place: int) -> Markup:
    """Draw the sample of a fill that stands in a legend."""
    fill = f'<rect class="part s{place % NUM_STYLES}" fill="url(#fill{place % NUM_STYLES})" width="18" height="12"/>'
    return Markup(f'<svg class="mark" viewBox="0 0 18 12" width="18" height="12" aria-hidden="true">{fill}</svg>')
