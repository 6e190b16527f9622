"""Load curves: they rest on consent, and belong to somebody else than the operator (scenarios 11 and 28)."""

import duckdb
import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.errors import Refused
from broker.keys.store import KeyStore
from broker.releases import facts as release_facts
from broker.releases import rebuilds, tasks
from consent import consents, intake, record
from consent.models import SealedRequest
from consent.tasks import record_sealed_request
from tests import factories, releasing
from tests.actors import signed_in
from tests.recompute import mac, recompute

HOMES, CONSENTED = 300, 140
COLUMNS = tuple(name for name, *_rest in releasing.CURVE_COLUMNS)


@pytest.fixture
def folders(fresh_database, django_db_blocker, tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    with (
        django_db_blocker.unblock(),
        override_settings(
            KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
            SCRATCH=tmp_path / "scratch",
        ),
    ):  # fmt: skip
        yield tmp_path


@pytest.fixture
def curves(folders):
    return releasing.convention_on_curves(folders, homes=HOMES)


def steward_of(ready):
    zone = ready.convention.zone
    person = factories.user("Bruno", organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=SYSTEM)
    return person


def import_of(ready, ids, *, purposes="energy_flexibility_rnd", by=None):
    """A file of consents of these homes, through the worker."""
    dataset = ready.convention.offer.dataset
    lines = [
        "local_id,given_on,proof,purposes",
        *(f"{i},2026-01-02,bulletin {n},{purposes}" for n, i in enumerate(ids)),
    ]
    sealed = intake.sealed(dataset.zone, "\n".join(lines).encode())
    made = consents.receive_import(dataset, by=by or steward_of(ready), sealed=sealed, file_name="accords.csv")
    record_sealed_request(SealedRequest.objects.get(receipt=made.receipt).pk)
    made.refresh_from_db()
    return made


def withdraw(ready, local_id, by=None):
    dataset = ready.convention.offer.dataset
    taken = consents.withdraw_consent(dataset.zone, by=by or steward_of(ready), local_id=str(local_id), dataset=dataset)
    record_sealed_request(taken.pk)


def homes(count, first=0):
    return [str(10_000_001 + first + n) for n in range(count)]


def rows_of(ready, release):
    clear = ready.inputs(release).clear
    path = settings.SCRATCH / "opened.parquet"
    path.write_bytes(clear)
    with duckdb.connect() as engine:
        return engine.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()


def pseudonyms_of(ready, ids):
    key = KeyStore(settings.KEY_STORE).open("pseudonym", f"convention:{ready.convention.pk}").decode()
    return {mac(key, one)[:32] for one in ids}


def test_scenario_11_a_half_hour_release_holds_exactly_the_homes_that_consented(curves):
    agreed = homes(CONSENTED, first=60)
    import_of(curves, agreed)

    release = releasing.built(curves, columns=COLUMNS)

    assert release.status == "ready", release.problem
    rows = rows_of(curves, release)
    assert {row[0] for row in rows} == pseudonyms_of(curves, agreed)
    assert len(rows) == CONSENTED * 4 == release.rows_out
    assert release.dropped["no_consent"] == (HOMES - CONSENTED) * 4
    receipt = release.receipts.get(obligation="keep_consented_subjects_only")
    assert receipt.is_done and receipt.count == (HOMES - CONSENTED) * 4
    report = recompute(curves.inputs(release))
    assert not report.failed, report.failed
    assert "chaque personne a consenti à cet usage" in str(report.lines)


def test_a_release_of_load_curves_keeps_calendar_time(curves):
    import_of(curves, homes(1))

    release = releasing.built(curves, columns=COLUMNS)

    moments = sorted(row[2] for row in rows_of(curves, release))
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in moments] == [
        "2026-01-05 00:00", "2026-01-05 00:30", "2026-01-05 01:00", "2026-01-05 01:30",
    ]  # fmt: skip


def test_consent_to_another_purpose_or_for_public_bodies_only_does_not_let_a_home_in(curves):
    import_of(curves, homes(10), purposes="energy_efficiency_rnd")
    import_of(curves, homes(2, first=20), purposes="energy_efficiency_rnd|energy_flexibility_rnd")

    release = releasing.built(curves, columns=COLUMNS)

    assert {row[0] for row in rows_of(curves, release)} == pseudonyms_of(curves, homes(2, first=20))


def test_without_any_consent_nothing_is_released_and_no_number_is_told(curves):
    release = releasing.built(curves, columns=COLUMNS)

    assert release.status == "failed"
    assert "consent" in release.problem and not any(sign.isdigit() for sign in release.problem)


def test_an_opposition_wins_over_a_consent(curves):
    from consent import oppositions

    by = steward_of(curves)
    import_of(curves, homes(3), by=by)
    taken = oppositions.receive(curves.convention.zone, by=by, local_id=homes(1)[0])
    record_sealed_request(taken.pk)

    release = releasing.built(curves, columns=COLUMNS)

    assert {row[0] for row in rows_of(curves, release)} == pseudonyms_of(curves, homes(3)[1:])


def test_a_consent_withdrawn_after_the_build_refuses_the_download_and_cuts_the_stream(curves):
    by = steward_of(curves)
    import_of(curves, homes(3), by=by)
    release = releasing.built(curves, columns=COLUMNS)
    permit = download(curves, release)

    withdraw(curves, homes(1)[0], by=by)

    assert not record.still_permitted(permit)
    with pytest.raises(Refused) as refused:
        download(curves, release)
    assert [reason.code for reason in refused.value.reasons] == ["G27"]


def test_a_release_is_built_again_without_the_home_that_took_its_consent_back(curves):
    by = steward_of(curves)
    import_of(curves, homes(3), by=by)
    release = releasing.built(curves, columns=COLUMNS)
    assert rebuilds.stale() == []

    withdraw(curves, homes(1)[0], by=by)

    assert rebuilds.stale() == [release]
    rebuilt = rebuilds.start(release, by=SYSTEM)
    tasks.build(rebuilt)
    rebuilt.refresh_from_db()
    assert {row[0] for row in rows_of(curves, rebuilt)} == pseudonyms_of(curves, homes(3)[1:])
    assert download(curves, rebuilt)
    assert rebuilds.stale() == []


def test_a_home_that_another_consent_still_covers_leaves_the_release_as_it_is(curves):
    by = steward_of(curves)
    first = import_of(curves, homes(3), by=by)
    import_of(curves, homes(3), purposes="energy_efficiency_rnd|energy_flexibility_rnd", by=by)
    release = releasing.built(curves, columns=COLUMNS)

    consents.undo_import(first, by=by)

    assert rebuilds.stale() == []
    assert download(curves, release)


def test_the_withdrawal_of_somebody_who_is_not_in_the_release_leaves_it_served(curves):
    by = steward_of(curves)
    import_of(curves, homes(3), by=by)
    release = releasing.built(curves, columns=COLUMNS)

    withdraw(curves, homes(1, first=200)[0], by=by)

    assert download(curves, release)


def download(ready, release):
    release.refresh_from_db()
    return record.decide(
        "release_download", by=ready.person, convention=ready.convention, version=release.dataset_version,
        columns=release_facts.gated_columns(release.recipe, ready.convention), purpose_kind="experimentation",
        purpose_code=ready.convention.purpose_code, second_factor_at=clock.now(), address="127.0.0.1",
        delivery_mode="environment", release=release_facts.facts_of(release),
    )  # fmt: skip


def test_scenario_28_the_grid_operator_has_not_signed_and_is_named(folders):
    ready = releasing.convention_on_curves(folders, homes=3, signed_by_holder=False)

    answer = signed_in(ready.person).post(
        reverse("release-create", args=[ready.convention.ref]), {"columns": list(COLUMNS)}
    )

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "le détenteur des données (Réseau électrique du Drac)" in page
    for rule in ("G10", "G12"):
        assert f'badge-quiet">{rule}<' in page
    for met in ("G02", "G27", "G29"):
        assert f'badge-quiet">{met}<' not in page


def test_scenario_28_an_active_convention_without_the_holder_s_signature_is_refused_by_g12_alone(folders):
    ready = releasing.convention_on_curves(folders, homes=3)
    bare = factories.convention(ready.convention.offer, organisation_=ready.convention.organisation)
    KeyStore(settings.KEY_STORE).create("pseudonym", f"convention:{bare.pk}")
    unsigned = releasing.Ready(bare, ready.identity, ready.source)

    with pytest.raises(Refused) as refused:
        unsigned.ask(COLUMNS)

    assert [reason.code for reason in refused.value.reasons] == ["G12"]
    assert "Réseau électrique du Drac" in refused.value.reasons[0].message
