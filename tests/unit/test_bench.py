"""The bench judges by the targets, and a missed one stays missed."""

import pytest

from deploy.bench import Figures
from deploy.bench.__main__ import judge, table


def test_a_figure_is_judged_by_its_target():
    figures = Figures()
    figures.add("demo_release_request_to_ready", 4.2, "s")
    figures.add("naive_loop_over_full_cpu_1m", 3.0, "x")
    figures.add("page_median", 20.0, "ms")

    judged = judge("release", figures)["figures"]

    assert judged["demo_release_request_to_ready"]["met"] is True
    assert judged["naive_loop_over_full_cpu_1m"]["met"] is False
    assert judged["page_median"]["met"] is None


def test_the_table_says_what_was_missed():
    figures = Figures()
    figures.add("queries_grow_with_rows", 1, "pages")

    assert "MISSED" in table(judge("web", figures))


def test_a_figure_in_another_unit_is_refused():
    figures = Figures()
    figures.add("demo_story", 1.5, "min")

    with pytest.raises(ValueError, match="min"):
        judge("web", figures)
