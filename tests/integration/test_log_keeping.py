"""Erasing before the term takes two persons; a hold keeps a detail beyond it. No root changes, all of it is told."""

from datetime import timedelta

import pytest
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit import search
from broker.audit.actor import SYSTEM
from broker.desk import roles
from broker.desk.journal import keeping, terms
from broker.desk.models import LogHold
from broker.errors import BadInput, NotAllowed, WrongState
from tests import factories
from tests.actors import signed_in
from tests.logs import one, rows, sequencing, write


@pytest.fixture
def house(committed, tmp_path):
    """A zone with an officer and two delegates, and one inscription with a detail about a subject."""
    zone = factories.zone()
    people = {}
    for name, role in (("officer", "operate"), ("delegate", "advise"), ("other", "advise"), ("watch", "audit")):
        people[name] = factories.user(name, organisation=zone.operator)
        grants.give(people[name], f"zones.{role}", zone, by=SYSTEM)
    write(1, "opposition.record", zone=zone.reference, sub="subject:1:ab", detail={"motif": "à oublier"})
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    place = one("SELECT max(leaf_index) FROM audit_index WHERE act = 'opposition.record'")[0]
    return {"zone": zone, "entry": search.at(place), "root": one("SELECT root FROM audit_checkpoint"), **people}


def acts(*wanted):
    found = rows("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
    return [one for one in found if one[0] in wanted]


@pytest.mark.parametrize("what", ["detail", "sub"])
def test_one_proposes_and_the_delegate_approves(house, what):
    entry = house["entry"]

    first = keeping.erase(entry, what, by=house["officer"], reason="demande de la personne")
    waiting = [task.link for task in roles.waiting_for(house["delegate"])]
    still = (search.detail_of(entry), bool(search.tokens_of("subject:1:ab")))
    second = keeping.erase(entry, what, by=house["delegate"], reason="fondée, art. 17")

    assert (first, second) == (False, True)
    assert waiting == [reverse("audit-keeping", args=[entry.leaf_index])]
    assert still[0] is not None and still[1]
    assert (search.detail_of(entry) is None, search.tokens_of("subject:1:ab") == ()) == (
        what == "detail",
        what == "sub",
    )
    assert one("SELECT root FROM audit_checkpoint") == house["root"]
    told = acts("log.erase_early", "countersign.first", "countersign.second", "log.erase")
    assert [act for act, _out in told] == [
        "countersign.first", "log.erase_early", "countersign.second", "log.erase", "log.erase_early"
    ]  # fmt: skip
    assert roles.waiting_for(house["delegate"]) == []


def test_nobody_erases_alone_and_the_second_is_the_delegate(house):
    entry = house["entry"]
    with pytest.raises(NotAllowed):
        keeping.erase(entry, "detail", by=house["watch"], reason="par curiosité")
    keeping.erase(entry, "detail", by=house["delegate"], reason="demande de la personne")

    with pytest.raises(NotAllowed, match="différente"):
        keeping.erase(entry, "detail", by=house["delegate"], reason="encore moi")
    with pytest.raises(NotAllowed, match="délégué"):
        keeping.erase(entry, "detail", by=house["officer"], reason="d'accord")
    with pytest.raises(BadInput, match="motif"):
        keeping.erase(entry, "detail", by=house["other"], reason=" ")

    assert search.detail_of(entry) is not None
    assert keeping.erase(entry, "detail", by=house["other"], reason="d'accord")
    with pytest.raises(WrongState, match="plus rien"):
        keeping.erase(entry, "detail", by=house["officer"], reason="deux fois")


def test_a_hold_keeps_a_detail_beyond_its_term_until_its_day(house, monkeypatch):
    entry, today = house["entry"], clock.today()
    until = today.replace(year=today.year + 12)
    keeping.hold(entry, by=house["delegate"], until=until, reason="litige en cours")

    def night(day):
        monkeypatch.setattr(clock, "today", lambda: day)
        terms.erase_due()
        return search.detail_of(entry) is not None

    with pytest.raises(WrongState, match="gel"):
        keeping.erase(entry, "detail", by=house["officer"], reason="demande")
    with pytest.raises(WrongState, match="déjà"):
        keeping.hold(entry, by=house["other"], until=until, reason="encore")
    assert [night(today.replace(year=today.year + 11)), night(until), night(until + timedelta(days=1))] == [
        True, True, False
    ]  # fmt: skip
    assert one("SELECT root FROM audit_checkpoint") == house["root"]


def test_a_hold_is_the_delegate_s_and_once_lifted_the_detail_goes_at_its_term(house, monkeypatch):
    entry, today = house["entry"], clock.today()
    with pytest.raises(NotAllowed, match="délégué"):
        keeping.hold(entry, by=house["officer"], until=today + timedelta(days=9), reason="litige")
    with pytest.raises(BadInput, match="à venir"):
        keeping.hold(entry, by=house["delegate"], until=today, reason="litige")
    with pytest.raises(WrongState, match="Aucun gel"):
        keeping.lift(entry, by=house["delegate"], reason="rien à lever")

    keeping.hold(entry, by=house["delegate"], until=today.replace(year=today.year + 12), reason="litige")
    keeping.lift(entry, by=house["other"], reason="litige clos")
    monkeypatch.setattr(clock, "today", lambda: today.replace(year=today.year + 11))
    terms.erase_due()

    assert search.detail_of(entry) is None
    assert LogHold.objects.get().lifted_by == house["other"]
    assert ("log.hold", "allow") in acts("log.hold") and acts("log.release_hold")[-1] == ("log.release_hold", "allow")


def test_the_page_serves_those_who_may_and_nobody_else(house):
    where = reverse("audit-keeping", args=[house["entry"].leaf_index])
    officer, delegate = signed_in(house["officer"]), signed_in(house["delegate"])
    later = (clock.today() + timedelta(days=30)).isoformat()

    shown = officer.get(where).content.decode()
    wrong = officer.post(where, {"do": "erase", "what": "detail", "reason": ""})
    froze = delegate.post(where, {"do": "freeze", "until": later, "reason": "litige"})
    lifted = delegate.post(where, {"do": "lift", "reason": "clos"})
    first = officer.post(where, {"do": "erase", "what": "detail", "reason": "demande"})
    told = delegate.get(where).content.decode()
    second = delegate.post(where, {"do": "erase", "what": "detail", "reason": "fondée"})

    assert "Geler" not in shown and "Effacer avant le terme" in shown
    assert [answer.status_code for answer in (wrong, froze, lifted, first, second)] == [422, 302, 302, 302, 302]
    assert "Votre accord l’efface aussitôt." in told
    assert search.detail_of(house["entry"]) is None
    assert signed_in(house["watch"]).get(where).status_code == 403
    assert signed_in(factories.user("x", organisation=factories.organisation("operator"))).get(where).status_code == 403
