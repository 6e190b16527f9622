"""A month of the log in figures: each is the length of the search that it leads to, within the reader's scope."""

import csv
import io
import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.urls import reverse
from django.utils.html import escape

from broker.accounts import grants
from broker.audit.actor import SYSTEM, Actor
from broker.audit.sequencer import paris_day
from tests import factories
from tests.actors import signed_in
from tests.logs import one, rows, sequencing, write

NOBODY_S = Actor("user:1", auth="mfa")  # a person of no organisation
QUERIES = 9
NOVEMBER = datetime(2026, 11, 10, 9, tzinfo=UTC)
LINK = re.compile(r'href="([^"]*since=[^"]*)"[^>]*><span class="hidden-visually">[^<]*</span>([\d\s\u202f\xa0]+)</a>')


@pytest.fixture
def auditor(committed):
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


@pytest.fixture
def month(committed, tmp_path):
    """A November of two zones: accesses of a convention, refusals, a failure, the month's ends in Paris."""
    convention = factories.convention()
    zone, body = convention.zone, convention.organisation
    body.siren = "900000076"
    body.save()
    under = {"zone": zone.reference, "org": body.reference, "conv": convention.reference}
    for at, many, act, facts in (
        (datetime(2026, 10, 31, 22, 30, tzinfo=UTC), 2, "zone.amend", {"zone": zone.reference}),  # Paris: 31 October
        (datetime(2026, 10, 31, 23, 30, tzinfo=UTC), 1, "zone.amend", {"zone": zone.reference}),  # Paris: 1 November
        (NOVEMBER, 3, "data.download", under),
        (NOVEMBER, 1, "convention.sign", {"zone": zone.reference, "obj": ("convention", convention.ref)}),
        (NOVEMBER, 2, "gate.decide", {**under, "out": "deny", "reason": ("G11",)}),
        (datetime(2026, 11, 12, 9, tzinfo=UTC), 4, "zone.open", {"zone": "zone:ailleurs", "org": "org:900000999"}),
        (datetime(2026, 11, 30, 23, 30, tzinfo=UTC), 5, "data.build", {**under, "out": "error"}),  # Paris: 1 December
    ):
        with time_machine.travel(at, tick=False):
            write(many, act, by=NOBODY_S, **facts)
    with time_machine.travel(NOVEMBER), sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    return convention


def read(user, **asked):
    return signed_in(user).get(reverse("audit-month"), {"month": "2026-11", **asked})


def told(answer, kind):
    [table] = [table for table in answer.context["report"].tables if table.kind == kind]
    return {line.note or line.name: tuple(cell.n for cell in line.cells) for line in table.lines}


def test_a_month_is_counted_by_day_act_organisation_and_convention(auditor, month):
    answer = read(auditor)

    report = answer.context["report"]
    assert told(answer, "act") == {
        "data.download": (3, 0, 0), "gate.decide": (0, 2, 0), "zone.open": (4, 0, 0), "zone.amend": (1, 0, 0),
        "convention.sign": (1, 0, 0), "log.genesis": (1, 0, 0),
    }  # fmt: skip
    assert told(answer, "org") == {month.organisation.siren: (3, 2, 0), "900000999": (4, 0, 0)}
    assert told(answer, "conv") == {month.ref: (3, 2, 0)}
    assert {day.day: line.total for day, line in report.days if line.total} == {1: 1, 10: 7, 12: 4}
    assert (report.whole.total, len(report.bars), report.refused) == (12, 30, 2)
    assert report.busiest.day.day == 10


def test_each_figure_is_the_length_of_the_search_that_it_leads_to(auditor, month):
    browser = signed_in(auditor)
    page = browser.get(reverse("audit-month"), {"month": "2026-11"}).content.decode()
    cells = LINK.findall(page)

    lengths = [len(browser.get(url.replace("&amp;", "&")).context["lines"]) for url, _n in cells]

    assert [int(n) for _url, n in cells] == lengths
    assert len(cells) == 4 + 6 + 3 + 2  # days, acts, organisations, conventions
    assert 'class="chart-done"' in page


def test_a_day_is_one_of_paris_in_winter_and_in_summer():
    assert [paris_day(hour) for hour in ("2026-10-31T22", "2026-10-31T23", "2026-07-31T22", "9999-12-31T23")] == [
        "2026-10-31", "2026-11-01", "2026-08-01", "9999-12-31",
    ]  # fmt: skip


def test_the_rollup_says_what_the_index_says(month):
    again = rows(
        "SELECT (at AT TIME ZONE 'Europe/Paris')::date, zone, org, conv, act, out, purp, count(*) FROM audit_index "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7"
    )

    assert rows("SELECT * FROM audit_rollup_day ORDER BY 1, 2, 3, 4, 5, 6, 7") == again


def test_a_zone_s_people_count_their_zone_only(committed, month):
    delegate = factories.user("Nadia", organisation=month.zone.operator)
    grants.give(delegate, "zones.advise", month.zone, by=SYSTEM)
    founder = factories.user("Julie", organisation=month.organisation)

    of_zone, of_experimenter = read(delegate), read(founder)
    elsewhere = read(delegate, zone="ailleurs")

    assert told(of_zone, "org") == {month.organisation.siren: (3, 2, 0)}
    assert told(of_zone, "act").keys() == {"data.download", "gate.decide", "zone.amend", "convention.sign"}
    assert told(of_experimenter, "act") == {"data.download": (3, 0, 0), "gate.decide": (0, 2, 0)}
    assert elsewhere.status_code == 422


def test_the_table_of_a_month_holds_every_count_within_the_scope(committed, auditor, month):
    delegate = factories.user("Nadia", organisation=month.zone.operator)
    grants.give(delegate, "zones.advise", month.zone, by=SYSTEM)

    def taken(user):
        answer = signed_in(user).post(reverse("audit-month-table"), {"month": "2026-11"})
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode(), newline="")))

    assert sum(int(line["n"]) for line in taken(auditor)) == 12
    of_zone = taken(delegate)
    assert {line["zone"] for line in of_zone} == {month.zone.reference}
    assert [line["n"] for line in of_zone if line["act"] == "gate.decide"] == ["2"]


def test_reading_a_month_and_taking_it_away_are_written_in_the_log(auditor, month):
    read(auditor)
    signed_in(auditor).post(reverse("audit-month-table"), {"month": "2026-11"})

    acts = rows("SELECT payload::json->>'act' FROM audit_event ORDER BY id DESC LIMIT 2")
    assert acts == [("log.export",), ("log.search",)]
    assert '"month":"2026-11"' in one("SELECT body FROM audit_detail ORDER BY event_id DESC LIMIT 1")[0]


def test_who_belongs_nowhere_counts_nothing_and_the_attempt_is_written(committed):
    answer = read(factories.user())

    assert answer.status_code == 403
    assert rows("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event") == [("log.search", "deny")]


@pytest.mark.parametrize("asked", ["2026-13", "novembre", "1901-01", "9999-12"])
def test_what_is_no_month_is_told(auditor, month, asked):
    answer = read(auditor, month=asked)

    assert answer.status_code == 422
    assert "report" not in answer.context or answer.context["report"] is None


def test_a_month_costs_as_many_queries_whatever_it_holds(
    auditor, committed, month, tmp_path, django_assert_num_queries
):
    browser = signed_in(auditor)
    asked = {"month": "2026-11"}
    browser.get(reverse("audit-month"), asked)
    with time_machine.travel(NOVEMBER):
        for number in range(40):
            write(1, "data.download", by=NOBODY_S, org=f"org:9000{number:05}", conv=f"cv:CV-2026-{number + 5000}@1")
        with sequencing(committed, tmp_path) as sequencer:
            sequencer.catch_up()

    with django_assert_num_queries(QUERIES):
        first = browser.get(reverse("audit-month"), asked)
    second = browser.get(reverse("audit-month"), {**asked, "page": "2"})

    assert [len(table.lines) for table in first.context["report"].tables] == [7, 25, 25]
    assert [len(table.lines) for table in second.context["report"].tables] == [0, 18, 16]
    assert escape("page=2") in first.content.decode()
