"""Details and tokens go at their term, by night, and not before."""

import json
from datetime import timedelta

from broker import clock
from broker.audit import search
from broker.desk import tasks
from broker.desk.journal import terms
from tests import factories
from tests.logs import one, rows, sequencing, write


def test_details_and_tokens_go_at_their_term_and_not_before(committed, tmp_path, monkeypatch):
    convention = factories.convention(factories.offer())
    person, other = convention.named_persons.get().user, factories.user("Sans convention")
    write(1, by=person, conv=convention.reference, detail={"motif": "convention"})
    write(1, by=other, detail={"motif": "sans convention"})
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    last = convention.ends_on
    root = one("SELECT root FROM audit_checkpoint")

    def told():
        found = search.details_of([number for (number,) in rows("SELECT event_id FROM audit_detail")]).values()
        return sorted(detail["motif"] for detail in found if "motif" in detail)

    def night(day):
        monkeypatch.setattr(clock, "today", lambda: day)
        tasks.erase_due(0)
        return told(), bool(search.tokens_of(f"user:{person.pk}")), bool(search.tokens_of(f"user:{other.pk}"))

    both = ["convention", "sans convention"]
    assert night(clock.today()) == (both, True, True)
    assert night(clock.today().replace(year=clock.today().year + 3)) == (both, True, True)
    assert night(last.replace(year=last.year + 4, month=1, day=2))[2] is False  # nobody's convention keeps it
    assert night(last.replace(year=last.year + 5))[0] == both
    assert night(last.replace(year=last.year + 5) + timedelta(days=1))[0] == ["sans convention"]
    assert not search.tokens_of(f"user:{person.pk}")
    assert night(last.replace(year=last.year + 11))[0] == []
    assert one("SELECT root FROM audit_checkpoint") == root
    event = json.loads(one("SELECT payload FROM audit_event ORDER BY id DESC LIMIT 1")[0])
    assert (event["act"], event["actor"]["kind"], event["n"]) == ("log.erase", "service", 1)
    assert terms.erase_due() == (0, 0)
