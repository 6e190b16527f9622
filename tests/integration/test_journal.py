"""The auditor's desk: who reads what, what is found, what is taken away; each reading is itself in the log."""

import io
import re
import zipfile

import pytest
from django.urls import reverse

from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.audit.kit import verify
from broker.audit.vocabulary import ACTS
from broker.desk.journal import phrases
from broker.desk.journal.forms import MOST_CHOICES
from tests import factories
from tests.actors import signed_in
from tests.logs import rows, sequencing, write


@pytest.fixture
def auditor(committed):
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


@pytest.fixture
def signed(committed, tmp_path):
    """Put what was written so far into the tree."""

    def sign():
        with sequencing(committed, tmp_path) as sequencer:
            sequencer.catch_up()

    return sign


def read(user, **asked):
    answer = signed_in(user).get(reverse("audit-search"), asked)
    return answer, answer.content.decode()


def acts_shown(answer):
    return [line["entry"].event["act"] for line in answer.context["lines"]]


def test_every_act_is_told_in_a_sentence():
    assert phrases.PHRASES.keys() == ACTS


def test_an_auditor_reads_who_did_what(auditor, signed):
    claire = factories.user("Claire Morel", organisation=factories.organisation("operator"))
    write(by=claire, act="zone.create", obj=("zone", "7"), zone="zone:hopital")
    signed()

    answer, page = read(auditor)

    assert answer.status_code == 200
    assert "<strong>Claire Morel</strong> a créé la zone" in page
    assert "Naissance du journal" in page


def test_reading_the_log_is_written_in_the_log(auditor, signed):
    signed()
    read(auditor, question="refus")

    found = rows(
        "SELECT payload::json->>'act', payload::json->'actor'->>'kind' FROM audit_event ORDER BY id DESC LIMIT 1"
    )
    assert found == [("log.search", "auditor")]
    assert '"question":"refus"' in rows("SELECT body FROM audit_detail ORDER BY event_id DESC LIMIT 1")[0][0]
    signed()
    answer, _ = read(auditor, question="lectures")
    assert acts_shown(answer) == ["log.search"]


def test_who_belongs_nowhere_does_not_read_and_the_attempt_is_written(committed):
    answer, _ = read(factories.user())

    assert answer.status_code == 403
    assert rows("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event") == [("log.search", "deny")]


def test_a_zone_s_people_read_their_zone_only(committed, signed):
    zone = factories.zone()
    delegate = factories.user("Nadia", organisation=zone.operator)
    grants.give(delegate, "zones.advise", zone, by=SYSTEM)
    write(2, zone=zone.reference, act="zone.open")
    write(3, zone="zone:ailleurs", act="zone.close")
    signed()

    answer, _ = read(delegate)
    elsewhere = signed_in(delegate).post(reverse("audit-bundle"), {"whole": "on"})

    assert {line["zone"].name for line in answer.context["lines"]} == {zone.name}
    assert elsewhere.status_code == 403


def test_refusals_are_told_with_their_rules(auditor, signed):
    write(act="gate.decide", out="deny", reason=("G11", "G20"), detail={"message": "La convention est suspendue."})
    write(act="zone.create")
    signed()

    answer, page = read(auditor, question="refus")

    assert acts_shown(answer) == ["gate.decide"]
    assert [line["reasons"] for line in answer.context["lines"]] == [["G11", "G20"]]
    assert all(f">{rule}</span>" in page for rule in ("G11", "G20"))
    assert "La convention est suspendue." in page


def test_who_accessed_a_dataset_names_its_conventions_accesses(auditor, signed):
    convention = factories.convention()
    write(act="gate.decide", conv=convention.reference, obj=("gatedecision", "x"))
    write(act="data.download", conv=convention.reference, obj=("release", "y"))
    write(act="convention.sign", conv=convention.reference)
    write(act="data.download", conv="cv:AUTRE@1")
    signed()

    answer, _ = read(auditor, question="acces", dataset=convention.offer.dataset.slug)

    assert acts_shown(answer) == ["data.download", "gate.decide"]


def test_everything_a_person_did_is_found_by_their_address(auditor, signed):
    hugo = factories.user("Hugo", organisation=factories.organisation("operator"))
    write(2, by=hugo, act="zone.open")
    write(2)
    signed()

    answer, _ = read(auditor, question="personne", person=hugo.email.upper())
    nobody, _ = read(auditor, question="personne", person="inconnu@exemple.fr")

    assert acts_shown(answer) == ["zone.open", "zone.open"]
    assert acts_shown(nobody) == []


def test_a_question_asks_for_its_field_before_it_complains(auditor, signed):
    chosen, asks = read(auditor, question="acces")
    sent, says = read(auditor, question="acces", dataset="")

    assert chosen.status_code == 200
    assert "Cette question demande ce champ." not in asks
    assert sent.status_code == 422
    assert "Cette question demande ce champ." in says


def test_pages_follow_one_another_with_as_many_queries(auditor, signed, django_assert_max_num_queries):
    write(60)
    signed()
    browser = signed_in(auditor)

    first = browser.get(reverse("audit-search"), {"act": "zone.create"})
    with django_assert_max_num_queries(45):
        second = browser.get(reverse("audit-search"), {"act": "zone.create", "avant": first.context["next"]})
    third = browser.get(reverse("audit-search"), {"act": "zone.create", "avant": second.context["next"]})

    places = [line["entry"].leaf_index for page in (first, second, third) for line in page.context["lines"]]
    assert len(places) == len(set(places)) == 60
    assert third.context["next"] is None


@pytest.mark.parametrize("asked", [{"whole": "on", "details": "on"}, {"act": "zone.create"}])
def test_the_bundle_of_a_question_verifies_offline(auditor, signed, asked):
    write(4, detail={"note": "essai"})
    write(2, act="zone.open")
    signed()

    answer = signed_in(auditor).post(reverse("audit-bundle"), asked)

    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    wrong, facts = verify.check(verify.Files(content))
    assert wrong == []
    assert facts["entries"] == (facts["size"] if "whole" in asked else 5)
    last = rows("SELECT payload::json->>'act' FROM audit_event ORDER BY id DESC LIMIT 1")
    assert last == [("log.export",)]


def test_a_bundle_from_an_unknown_checkpoint_says_the_mend(auditor, signed):
    write()
    signed()

    answer = signed_in(auditor).post(reverse("audit-bundle"), {"depuis": "1"})

    assert answer.status_code == 422
    assert "reprenez celle du vôtre" in answer.content.decode()


def test_a_choice_among_many_datasets_is_asked_by_its_identifier(auditor, signed):
    wanted = factories.dataset()
    for _number in range(MOST_CHOICES):
        factories.dataset(wanted.zone)
    write(act="dataset.publish", obj=("dataset", wanted.pk))
    write(act="dataset.publish", obj=("dataset", wanted.pk + 1))
    signed()

    answer, page = read(auditor, question="", dataset=wanted.slug)

    assert len(acts_shown(answer)) == 1
    assert re.search(rf'<input [^>]*name="dataset"[^>]*type="text" value="{wanted.slug}"', page)


def test_what_an_event_names_is_a_link_when_the_reader_may_open_it(auditor, signed):
    convention = factories.convention()
    zone, body = convention.zone, convention.organisation
    body.siren = "900000076"
    body.save()
    write(act="convention.sign", obj=("convention", convention.ref), zone=zone.reference,
          org="org:900000076")  # fmt: skip
    signed()

    answer, page = read(auditor, convention=convention.ref)

    line = answer.context["lines"][0]
    assert line["on"].link == reverse("convention-detail", args=[convention.ref])
    assert (line["zone"].name, line["org"].name) == (zone.name, body.name)
    assert f'href="{line["on"].link}"' in page


def test_a_leaf_that_names_something_strange_is_shown_and_links_nowhere(auditor, signed):
    for obj in (("convention", "../x"), ("release", "pas-un-uuid"), ("dataset", "9" * 30), ("gatedecision", "'")):
        write(act="zone.create", obj=obj)
    signed()

    answer, _ = read(auditor, act="zone.create")

    assert answer.status_code == 200
    assert {line["on"].link for line in answer.context["lines"]} == {""}


def test_the_accesses_are_drawn_within_the_reader_s_zones(committed, signed):
    seen, other = factories.zone(), factories.zone()
    delegate = factories.user("Nadia Benali")
    grants.give(delegate, "zones.advise", seen, by=SYSTEM)
    for zone, out in ((seen, "allow"), (seen, "deny"), (other, "allow")):
        write(act="gate.decide", zone=zone.reference, out=out)
    write(act="zone.amend", zone=seen.reference)  # no access: not drawn
    signed()

    picture = read(delegate)[0].context["picture"]

    assert (picture.done, picture.refused) == (1, 1)


def test_the_picture_belongs_to_the_first_page_of_an_answer(auditor, signed):
    write(act="gate.decide")
    signed()

    assert read(auditor)[0].context["picture"] is not None
    assert read(auditor, avant="1")[0].context["picture"] is None
