"""The first sentence of an auditor's page: whether anything is missing or altered since their last visit."""

from datetime import timedelta

import psycopg
import pytest
import time_machine
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit import merkle, tiles
from broker.audit.actor import SYSTEM
from broker.audit.checkpoint import Checkpoint
from broker.audit.signer import Signing
from broker.desk.journal import visits
from broker.desk.models import LogVisit
from tests import factories, postgres
from tests.actors import signed_in
from tests.logs import ORIGIN, rows, sequencing, write

UNGUARDED = "SET session_replication_role = replica"


@pytest.fixture
def auditor(committed):
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


@pytest.fixture
def sign(committed, tmp_path):
    """Put what was written so far into the tree."""

    def signed():
        with sequencing(committed, tmp_path) as sequencer:
            sequencer.catch_up()

    return signed


@pytest.fixture
def owner(committed):
    with psycopg.connect(postgres.cluster().url("postgres", committed), autocommit=True) as link:
        link.execute(UNGUARDED)
        yield link


def tomorrow():
    return time_machine.travel(clock.now() + timedelta(days=1))


def test_the_first_visit_says_that_all_holds_and_what_comes_next(auditor, sign):
    write(3)
    sign()

    page = signed_in(auditor).get(reverse("audit-search")).content.decode()

    assert 'id="constat" data-holds="first"' in page
    assert "Rien ne manque et rien n’a été modifié dans les 4 inscriptions signées à ce jour." in page


def test_the_next_visit_tells_what_was_added_since(auditor, sign):
    write(3)
    sign()
    visits.look(auditor)
    write(2)
    sign()

    with tomorrow():
        page = signed_in(auditor).get(reverse("audit-search")).content.decode()

    assert 'id="constat" data-holds="yes"' in page
    assert "Les 4 inscriptions d’alors sont toutes à leur place ; 2 s’y sont ajoutées." in page


def test_a_log_that_was_cut_since_is_refused_and_not_remembered(auditor, sign, owner):
    write(3)
    sign()
    write(2)
    sign()
    visits.look(auditor)
    owner.execute("DELETE FROM audit_checkpoint WHERE size = 6")

    with tomorrow():
        page = signed_in(auditor).get(reverse("audit-search")).content.decode()

    assert 'id="constat" data-holds="no"' in page
    assert "the log held 6 entries and holds 4" in page
    assert [visit.size for visit in LogVisit.objects.all()] == [6]


def test_another_history_signed_with_the_log_s_own_key_is_refused(auditor, sign, owner, tmp_path):
    write(3)
    sign()
    visits.look(auditor)
    fork(owner, tmp_path)

    with tomorrow():
        sight = visits.look(auditor)

    assert any("another" in problem and "root" in problem for problem in sight.problems)


def fork(owner, folder) -> None:
    """Whoever holds the database and the signer's key rewrites the second leaf, and signs two more."""
    leaves = [payload.encode() for (payload,) in rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")]
    hashes = [merkle.leaf_hash(leaf) for leaf in [leaves[0], b"{}", *leaves[2:], b"{}", b"{}"]]
    edge = tiles.Edge()
    for (level, n), content in edge.grow(hashes).items():
        owner.execute("UPDATE audit_tile SET hashes = %s WHERE level = %s AND n = %s", [content, level, n])
    signed = Checkpoint(ORIGIN, edge.size, edge.root()).text()
    owner.execute(
        "INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (%s, %s, %s, '')",
        [edge.size, edge.root(), Signing(folder, ORIGIN).signer.sign(signed)],
    )


def test_the_fork_alone_would_deceive_who_had_never_come(auditor, sign, owner, tmp_path):
    write(3)
    sign()
    fork(owner, tmp_path)

    assert visits.look(auditor).problems == []  # it takes a memory to see it: the reader's, the browser's, a witness's


def test_a_checkpoint_that_the_key_did_not_sign_is_refused(auditor, sign, owner):
    write(3)
    sign()
    owner.execute("UPDATE audit_checkpoint SET note = replace(note, E'\\n4\\n', E'\\n5\\n')")

    assert visits.look(auditor).problems


def test_of_two_pages_opened_at_once_the_longer_log_is_kept(auditor, sign):
    write(3)
    sign()
    short = visits.look(auditor).last
    write(2)
    sign()
    visits.look(auditor)

    visits._remember(auditor, clock.today(), short)

    assert [visit.size for visit in LogVisit.objects.all()] == [6]


def test_each_visit_costs_the_same_whatever_the_log_s_length(auditor, sign, django_assert_num_queries):
    write(2)
    sign()
    visits.look(auditor)
    write(700)  # three tiles, two levels
    sign()

    with django_assert_num_queries(6):
        visits.look(auditor)


def test_each_reader_sees_their_part_of_the_log(committed, sign):
    zone, other = factories.zone(), factories.zone()
    body = factories.organisation(name="Glycéa")
    agency = factories.organisation("agency")
    people = {
        "dpo": factories.user(organisation=zone.operator),
        "steward": factories.user(organisation=zone.operator),
        "founder": factories.user(organisation=body, role="legal_representative"),
        "clerk": factories.user(organisation=agency, role="registry_officer"),
        "stranger": factories.user(organisation=factories.organisation()),
        "operator without a role": factories.user(organisation=factories.organisation("operator")),
    }
    grants.give(people["dpo"], "zones.advise", zone, by=SYSTEM)
    grants.give(people["steward"], "zones.steward", zone, by=SYSTEM)
    written = {
        "zone": {"act": "zone.amend", "zone": zone.reference},
        "access": {"act": "data.download", "zone": zone.reference, "org": body},
        "access elsewhere": {"act": "data.download", "zone": other.reference, "org": "org:none"},
        "registry": {"act": "registry.review", "org": body},
        "account": {"act": "user.sign_in", "org": body},
    }
    for facts in written.values():
        write(**facts)
    sign()

    def seen(person):
        answer = signed_in(person).get(reverse("audit-search"), {"until": clock.today().isoformat()})
        if answer.status_code == 403:
            return None
        acts = [(line["entry"].event["act"], line["entry"].event["org"]) for line in answer.context["lines"]]
        ours = {
            (f["act"], getattr(f.get("org"), "reference", f.get("org", "org:1"))): name for name, f in written.items()
        }
        return {ours[act] for act in acts if act in ours}

    assert {name: seen(person) for name, person in people.items()} == {
        "dpo": {"zone", "access"},
        "steward": {"access"},
        "founder": {"access"},
        "clerk": {"access", "access elsewhere", "registry"},
        "stranger": set(),
        "operator without a role": None,
    }


def test_an_entry_is_told_with_its_bytes_its_place_and_who_may_read_it(auditor, sign):
    zone = factories.zone(name="Hôpital des Deux-Rives")
    write(act="gate.decide", zone=zone.reference, out="deny", reason=("G11",), detail={"message": "Finie."})
    sign()

    answer = signed_in(auditor).get(reverse("audit-entry", args=[1]))
    page = answer.content.decode()

    assert answer.context["entry"].payload == rows("SELECT payload FROM audit_event WHERE generation = 1")[0][0]
    assert answer.context["detail"].is_bound
    assert "À la place 1 d’un journal de 2 inscriptions." in page
    assert any("délégué" in reader and "Deux-Rives" in reader for reader in answer.context["readers"])
    assert rows("SELECT payload::json->>'act' FROM audit_event ORDER BY id DESC LIMIT 1") == [("log.read",)]


def test_an_entry_of_another_zone_is_not_found(committed, sign):
    zone = factories.zone()
    delegate = factories.user(organisation=zone.operator)
    grants.give(delegate, "zones.advise", zone, by=SYSTEM)
    write(zone=zone.reference)
    write(zone="zone:ailleurs")
    sign()
    places = dict(rows("SELECT act || zone, leaf_index FROM audit_index"))

    def read(where):
        return signed_in(delegate).get(reverse("audit-entry", args=[places[f"zone.create{where}"]])).status_code

    assert (read(zone.reference), read("zone:ailleurs")) == (200, 404)


def test_an_altered_detail_is_said_not_to_be_the_sealed_one(auditor, sign, owner):
    write(detail={"motif": "essai"})
    sign()
    owner.execute('UPDATE audit_detail SET body = \'{"motif":"autre"}\'')

    answer = signed_in(auditor).get(reverse("audit-entry", args=[1]))

    assert answer.context["detail"].is_bound is False
    assert "Ce n’est pas celui que l’inscription scelle" in answer.content.decode()


@pytest.mark.parametrize("place", [2, 10**18, 10**30])
def test_a_place_where_nothing_is_is_not_found(auditor, sign, place):
    write()
    sign()

    assert signed_in(auditor).get(f"/journal/{place}/").status_code == 404
