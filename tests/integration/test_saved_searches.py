"""A reader's own searches: kept under a name, run again, renamed, removed; nobody else's, and all of it in the log."""

import pytest
from django.urls import reverse

from broker.desk.journal import saved
from broker.desk.models import SavedSearch
from broker.errors import NotAllowed, WrongState
from tests import factories
from tests.actors import signed_in
from tests.logs import rows, sequencing, write


@pytest.fixture
def auditor(committed):
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


def acts():
    found = rows("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
    return [one for one in found if one[0].startswith("search.")]


def test_a_search_is_kept_run_again_renamed_and_removed(auditor, committed, tmp_path):
    write(2, "zone.create", zone="zone:a")
    write(1, "gate.decide", out="deny", zone="zone:a")
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    browser = signed_in(auditor)
    asked = {"question": "refus", "act": "gate.decide", "since": "2026-01-01"}

    offered = browser.get(reverse("audit-search"), asked).content.decode()
    kept = browser.post(reverse("audit-searches"), {**asked, "name": "  Refus   de la barrière "})
    [search] = SavedSearch.objects.for_user(auditor)
    beside = browser.get(reverse("audit-search")).content.decode()
    answer = browser.get(search.address)
    renamed = browser.post(reverse("audit-search-rename", args=[search.pk]), {"name": "Refus"})
    listed = browser.get(reverse("audit-searches")).content.decode()
    before = browser.get(reverse("audit-search-remove", args=[search.pk]))
    still = SavedSearch.objects.count()
    removed = browser.post(reverse("audit-search-remove", args=[search.pk]))

    assert 'id="garder"' in offered and '<input type="hidden" name="act" value="gate.decide">' in offered
    assert (kept.status_code, renamed.status_code, removed.status_code) == (302, 302, 302)
    assert (search.name, search.asked) == ("Refus de la barrière", asked)
    assert "Refus de la barrière</a>" in beside
    assert [line["entry"].event["act"] for line in answer.context["lines"]] == ["gate.decide"]
    assert ">Refus</a>" in listed
    assert (before.status_code, still, SavedSearch.objects.count()) == (200, 1, 0)
    assert acts() == [("search.save", "allow"), ("search.rename", "allow"), ("search.remove", "allow")]


def test_a_search_is_its_owner_s_alone(auditor):
    other = factories.user("Luc", organisation=auditor.organisation, role="auditor")
    mine = saved.save("Les refus", asked={"out": "deny"}, by=auditor)
    browser = signed_in(other)

    answers = [
        getattr(browser, method)(reverse(name, args=[mine.pk]), {"name": "x"}).status_code
        for name in ("audit-search-rename", "audit-search-remove") for method in ("get", "post")
    ]  # fmt: skip
    listed = browser.get(reverse("audit-searches")).content.decode()

    assert answers == [404] * 4
    assert "Les refus" not in listed
    with pytest.raises(SavedSearch.DoesNotExist):
        saved.remove(mine, by=other)
    with pytest.raises(SavedSearch.DoesNotExist):
        saved.rename(mine, "Pris", by=other)
    assert saved.save("Les refus", asked={}, by=other).pk != mine.pk  # a name is taken by one reader only


def test_a_name_serves_once_and_a_question_is_whole(auditor):
    browser = signed_in(auditor)
    saved.save("Les refus", asked={"out": "deny"}, by=auditor)

    twice = browser.post(reverse("audit-searches"), {"out": "error", "name": "Les refus"})
    nameless = browser.post(reverse("audit-searches"), {"out": "error"})
    partial = browser.post(reverse("audit-searches"), {"question": "acces", "name": "Sans jeu"})

    assert [answer.status_code for answer in (twice, nameless, partial)] == [422] * 3
    assert "choisissez-en un autre" in twice.content.decode()
    assert '<input type="hidden" name="out" value="error">' in twice.content.decode()
    assert SavedSearch.objects.count() == 1
    assert acts()[-1] == ("search.save", "deny")


def test_searches_are_bounded_and_listed_by_pages_with_as_many_queries(auditor, monkeypatch, django_assert_num_queries):
    browser = signed_in(auditor)
    SavedSearch.objects.bulk_create(SavedSearch(owner=auditor, name=f"n° {n:02}", asked={}) for n in range(30))
    browser.get(reverse("audit-searches"))

    with django_assert_num_queries(5):
        page = browser.get(reverse("audit-searches"))
    monkeypatch.setattr(saved, "MOST", 30)
    with pytest.raises(WrongState, match="supprimez-en"):
        saved.save("une de trop", asked={}, by=auditor)

    assert len(page.context["page"].object_list) == 25


def test_who_does_not_read_the_log_keeps_no_search_of_it(committed):
    nobody = factories.user()

    with pytest.raises(NotAllowed):
        saved.save("rien", asked={}, by=nobody)

    assert signed_in(nobody).get(reverse("audit-searches")).status_code == 403
    assert SavedSearch.objects.count() == 0
