from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.report.write.charts import (
    NUM_COLOURS,
    NUM_STYLES,
    Series,
    legend_mark,
    line_chart,
    scatter_chart,
    standalone,
    ticks,
)

numbers = st.floats(-1e6, 1e6)


@pytest.mark.slow
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_any_numbers_give_well_formed_svg(points: list[tuple[float, float]]) -> None:
    ElementTree.fromstring(line_chart([Series("a", points, 0)], (400, 200), ("x", "y")))
    ElementTree.fromstring(
        scatter_chart([Series(str(p), [p], i) for i, p in enumerate(points)], (400, 200), ("x", "y"))
    )


def test_labels_are_escaped() -> None:
    hostile = '<script>alert(1)</script> & "quotes"'
    chart = scatter_chart([Series(hostile, [(1, 1)], 0)], (400, 200), (hostile, hostile))
    assert "<script" not in chart
    ElementTree.fromstring(chart)


def test_a_chart_of_its_own_brings_its_styles_and_joins_the_points_of_a_series() -> None:
    chart = scatter_chart(
        [Series("one", [(1, 1)], 0), Series("path", [(1, 2), (2, 3), (3, 3)], 1)], (400, 200), ("", "")
    )
    file = ElementTree.fromstring(standalone(chart))
    svg = "{http://www.w3.org/2000/svg}"
    assert file.tag == f"{svg}svg" and "--s1" in (file.findtext(f"{svg}style") or "")
    lines = [path.get("d") or "" for path in file.iter(f"{svg}path") if path.get("class") == "line s1"]
    assert [line.count("L") for line in lines] == [2]
    markers = [path.get("class") for path in file.iter(f"{svg}path") if "marker" in (path.get("class") or "")]
    assert markers == ["marker s0", *["marker s1"] * 3]


def test_as_many_series_as_a_recipe_has_sources_look_different() -> None:
    assert len({legend_mark(style) for style in range(36)}) == 36
    assert len({legend_mark(style, is_bold=True) for style in range(36)}) == NUM_COLOURS


def test_series_differ_in_dash_and_marker_not_only_in_colour() -> None:
    marks = {legend_mark(style).replace(f"s{style}", "") for style in range(NUM_STYLES)}
    assert len(marks) == NUM_STYLES


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 7076, [0, 2000, 4000, 6000]), (-3, 3, [-2, 0, 2])],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


def test_labels_of_close_points_do_not_cover_one_another() -> None:
    chart = scatter_chart(
        [Series("first system", [(1, 1)], 0), Series("second system", [(1, 1.01)], 1)], (500, 300), ("", "")
    )
    labels = [element for element in ElementTree.fromstring(chart).iter("text") if element.get("class") == "point"]
    assert len({(label.get("x"), label.get("y"), label.get("text-anchor")) for label in labels}) == 2
