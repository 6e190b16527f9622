"""The picture of accesses over time: no gap, no bar too many, hours then days then weeks."""

from datetime import datetime, timedelta

import pytest

from broker import clock
from broker.desk.journal import picture

MONDAY = datetime(2026, 11, 23, 9, tzinfo=clock.PARIS)


def test_nothing_is_drawn_of_nothing():
    assert picture.draw([]) is None


def test_a_day_without_an_access_has_its_place():
    drawn = picture.draw([(MONDAY, 4, 1), (MONDAY + timedelta(days=3), 2, 0)])

    assert drawn.unit == "day"
    assert [(bar.done, bar.refused) for bar in drawn.bars] == [(4, 1), (0, 0), (0, 0), (2, 0)]
    assert (drawn.done, drawn.refused) == (6, 1)
    assert drawn.busiest is drawn.bars[0]


def test_the_highest_bar_fills_the_height_and_the_refused_stand_on_the_done():
    bar = picture.draw([(MONDAY, 3, 1), (MONDAY + timedelta(days=2), 1, 0)]).bars[0]

    assert (bar.done_tall, bar.refused_tall) == (42, 14)
    assert (bar.done_y, bar.refused_y) == (14, 0)


@pytest.mark.parametrize(("days", "unit"), [(1, "hour"), (2, "day"), (59, "day"), (60, "week"), (2000, "week")])
def test_the_picture_never_has_more_than_sixty_bars(days, unit):
    drawn = picture.draw([(MONDAY, 1, 0), (MONDAY + timedelta(days=days), 1, 0)])

    assert drawn.unit == unit
    assert len(drawn.bars) <= picture.MOST_BARS


def test_the_night_the_clock_changes_is_one_day():
    drawn = picture.draw(
        [(datetime(2026, 10, 23, 12, tzinfo=clock.PARIS), 1, 0), (datetime(2026, 10, 27, 12, tzinfo=clock.PARIS), 1, 0)]
    )

    assert [bar.since.day for bar in drawn.bars] == [23, 24, 25, 26, 27]
    assert {bar.since.hour for bar in drawn.bars} == {0}
