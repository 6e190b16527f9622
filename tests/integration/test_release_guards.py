"""What PostgreSQL refuses of releases and deliveries (invariants 1 and 2), as the application and as the owner."""

import uuid

import psycopg
import pytest
from django.db import IntegrityError, transaction

from broker.keys.models import DataKey
from broker.releases.models import Delivery, Receipt, Release, TraceEntry
from consent.models import GateDecision
from tests import factories, postgres

ROLES = ("terrain_app", "terrain_owner")


def decision(convention, action="release_create", effect="permit_with_obligations", on="version:1", **facts):
    facts.setdefault("obligations", [{"name": "apply_profile", "rule": "G29", "parameters": {}}])
    if effect == "permit":
        facts["obligations"] = []
    return GateDecision.objects.create(
        action=action, actor_ref="user:1", organisation=convention.organisation, convention=convention, object_ref=on,
        effect=effect, reasons=[{"rule": "G10"}], ruleset_version="2026.11.0", ruleset_sha256="0" * 64, policy_epoch=0,
        case_sha256="0" * 64, event_id="E" * 26, **facts,
    )  # fmt: skip


def key_of(convention):
    return DataKey.objects.create(
        purpose="pseudonym", ref=f"convention:{convention.pk}", wrapping_key_id=uuid.uuid4().hex, wrapped=b"x"
    )


def building(convention, **facts):
    """A release whose build has just begun."""
    facts.setdefault("decision", decision(convention))
    facts.setdefault("key", key_of(convention))
    return Release.objects.create(
        convention=convention, dataset_version=convention.offer.dataset.versions.get(), ruleset_version="2026.11.0",
        recipe={"k": 5}, recipe_sha256="a" * 64, delivery_mode="environment", status="building",
        requested_by=convention.named_persons.get().user, **facts,
    )  # fmt: skip


def ready(convention):
    release = building(convention)
    Receipt.objects.create(
        release=release, obligation="apply_profile", what="x", count=1, digest="d" * 64, is_done=True
    )
    Release.objects.filter(pk=release.pk).update(
        status="ready",
        built_at=release.requested_at,
        size=10,
        sha256="b" * 64,
        clear_sha256="c" * 64,
        stored_as="x",
        signature=b"s" * 64,
        signed_with=release.key,
    )
    release.refresh_from_db()
    return release


def refused(name: str, sql: str, values: list, saying: str) -> None:
    """PostgreSQL refuses `sql`, for the reason named, to the application's role and to the tables' owner."""
    for role in ROLES:
        with psycopg.connect(postgres.cluster().url(role, name)) as session:
            with pytest.raises(psycopg.errors.IntegrityError, match=saying):
                session.execute(sql, values)
                session.execute("SET CONSTRAINTS ALL IMMEDIATE")
            session.rollback()


def test_a_release_under_the_key_of_another_convention_is_refused(committed):
    mine, other = factories.convention(), factories.convention()
    release = building(mine, key=None)
    foreign = key_of(other)

    refused(
        committed, "UPDATE releases_release SET key_id = %s WHERE id = %s", [foreign.pk, release.pk],
        "release_key_is_of_its_convention",
    )  # fmt: skip


def test_a_release_is_not_ready_without_the_signature_of_its_manifest(committed):
    release = building(factories.convention())
    Receipt.objects.create(
        release=release, obligation="apply_profile", what="x", count=1, digest="d" * 64, is_done=True
    )

    for unsigned in ({"signature": b"short"}, {"signature": b"s" * 64, "signed_with": None}):
        with pytest.raises(IntegrityError, match="without the signature"), transaction.atomic():
            Release.objects.filter(pk=release.pk).update(
                status="ready", built_at=release.requested_at, size=1, sha256="b" * 64, stored_as="x", **unsigned
            )


def test_a_release_is_not_ready_while_an_obligation_has_no_done_receipt(committed):
    release = building(factories.convention())
    Receipt.objects.create(
        release=release, obligation="apply_profile", what="x", count=1, digest="d" * 64, is_done=False
    )

    refused(
        committed,
        "UPDATE releases_release SET status = 'ready', built_at = now(), size = 1, sha256 = 'x', stored_as = 'x' "
        "WHERE id = %s", [release.pk], "no done receipt for apply_profile",
    )  # fmt: skip


CHANGES = ["recipe = '{\"k\": 1}'", "recipe_sha256 = 'x'", "sha256 = 'x'", "clear_sha256 = 'x'", "key_id = NULL"]


def test_what_a_built_release_is_made_of_never_changes(committed):
    release = ready(factories.convention())

    for change in CHANGES:
        refused(committed, f"UPDATE releases_release SET {change} WHERE id = %s", [release.pk], "never change")


def test_a_release_never_moves_to_another_convention_or_decision(committed):
    release, other = ready(factories.convention()), factories.convention()
    elsewhere = decision(other)

    for column, value in (("convention_id", other.pk), ("decision_id", elsewhere.pk)):
        refused(
            committed, f"UPDATE releases_release SET {column} = %s WHERE id = %s", [value, release.pk],
            "never change",
        )  # fmt: skip


def test_a_release_needs_a_permit_of_its_own_convention(committed):
    convention = factories.convention()
    release = building(convention)
    foreign, denied = decision(factories.convention()), decision(convention, effect="deny", obligations=[])

    for wrong in (foreign, denied):
        refused(
            committed,
            "INSERT INTO releases_release (id, kind, convention_id, dataset_version_id, decision_id, ruleset_version, "
            "recipe, recipe_sha256, delivery_mode, requested_by_id, requested_at, status, attempt, progress, problem, "
            "dropped, clear_sha256, sha256, file_name, stored_as, manifest) SELECT gen_random_uuid(), kind, "
            "convention_id, dataset_version_id, %s, ruleset_version, recipe, recipe_sha256, delivery_mode, "
            "requested_by_id, requested_at, status, attempt, progress, problem, dropped, clear_sha256, sha256, "
            "file_name, stored_as, manifest FROM releases_release WHERE id = %s", [wrong.pk, release.pk],
            "must permit release_create for this convention",
        )  # fmt: skip


def test_a_commercial_release_cannot_be_stored_among_experimental_ones(committed):
    release = building(factories.convention())

    refused(
        committed,
        "UPDATE releases_release SET kind = 'commercial' WHERE id = %s",
        [release.pk],
        "never change",
    )
    with pytest.raises(IntegrityError, match="release_is_experimental"):
        building(factories.convention(), kind="commercial")


INSERT_DELIVERY = (
    "INSERT INTO releases_delivery (release_id, decision_id, decision_effect, first_byte, bytes_sent, started_at, "
    "outcome) VALUES (%s, %s, %s, 0, 0, now(), '')"
)


def test_no_byte_leaves_without_a_permit_to_download_this_very_release(committed):
    convention = factories.convention()
    release = ready(convention)
    on = f"release:{release.pk}"
    denied = decision(convention, "release_download", "deny", on, obligations=[])
    create = decision(convention, "release_create", "permit", on)
    another = decision(convention, "release_download", "permit", f"release:{uuid.uuid4()}")
    foreign = decision(factories.convention(), "release_download", "permit", on)

    refused(committed, INSERT_DELIVERY, [release.pk, denied.pk, "deny"], "delivery_needs_a_permit")
    refused(committed, INSERT_DELIVERY, [release.pk, uuid.uuid4(), "permit"], "needs a decision")
    for wrong in (create, another, foreign):
        refused(committed, INSERT_DELIVERY, [release.pk, wrong.pk, "permit"], "this very release")
    refused(committed, INSERT_DELIVERY, [release.pk, denied.pk, "permit"], "delivery_effect_is_the_decisions")


def test_a_delivery_is_ended_once_and_never_erased(committed):
    convention = factories.convention()
    release = ready(convention)
    made = Delivery.objects.create(
        release=release, decision_effect="permit",
        decision=decision(convention, "release_download", "permit", f"release:{release.pk}"),
    )  # fmt: skip
    Delivery.objects.filter(pk=made.pk).update(bytes_sent=10, outcome="complete", ended_at=made.started_at)

    refused(
        committed, "UPDATE releases_delivery SET bytes_sent = 0 WHERE id = %s", [made.pk],
        "only its end may be written",
    )  # fmt: skip
    refused(committed, "DELETE FROM releases_delivery WHERE id = %s", [made.pk], "never erased")


def test_the_index_and_receipts_of_a_built_release_never_change(committed):
    convention = factories.convention()
    release = building(convention)
    TraceEntry.objects.create(release=release, token=b"t" * 32)
    Receipt.objects.create(
        release=release, obligation="apply_profile", what="x", count=1, digest="d" * 64, is_done=True
    )
    Release.objects.filter(pk=release.pk).update(
        status="ready",
        built_at=release.requested_at,
        size=1,
        sha256="b" * 64,
        stored_as="x",
        signature=b"s" * 64,
        signed_with=release.key,
    )

    for sql in (
        "DELETE FROM releases_traceentry WHERE release_id = %s",
        "INSERT INTO releases_traceentry (release_id, token) VALUES (%s, 'x')",
        "UPDATE releases_receipt SET is_done = false WHERE release_id = %s",
        "DELETE FROM releases_receipt WHERE release_id = %s",
    ):
        refused(committed, sql, [release.pk], "never change")
