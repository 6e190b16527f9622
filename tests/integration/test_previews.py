"""A release shown before it is asked for: the same figures as the release, and nothing that a release would not say."""

import csv
import gzip
from datetime import timedelta

import pytest

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed, Refused, WrongState
from broker.releases import previews, tasks
from broker.releases.models import Preview
from consent.models import QuotaUse
from tests import factories, releasing
from tests.actors import signed_in
from tests.logs import rows
from tests.releasing import ASKED


def a_preview(stays, columns=ASKED, by=None) -> Preview:
    return previews.of_release(
        stays.convention, by=by or stays.person, second_factor_at=clock.now(), address="127.0.0.1",
        columns=list(columns),
    )  # fmt: skip


def computed(stays, columns=ASKED) -> Preview:
    preview = previews.answer(a_preview(stays, columns))
    preview.refresh_from_db()
    return preview


def test_a_preview_says_the_figures_that_the_release_then_has(stays):
    preview = computed(stays)

    release = releasing.built(stays)

    assert preview.status == "ready", preview.problem
    assert preview.recipe_sha256 == release.recipe_sha256
    assert (preview.found["rows_in"], preview.found["rows_out"]) == (release.rows_in, release.rows_out)
    assert preview.found["dropped"] == release.dropped
    assert preview.found["k_min"] == release.k_min
    assert preview.found["subjects_out"] == release.subjects_out
    assert preview.found["k_before"] < preview.found["k_min"]


def test_leaving_a_column_out_saves_what_the_preview_says(stays):
    whole = computed(stays)

    without = computed(stays, [name for name in ASKED if name != "admission_type_id"])

    lost = whole.found["dropped"]["small_class"]
    assert lost > whole.found["without"]["admission_type_id"] == without.found["dropped"]["small_class"]
    said = previews.explained(whole, whole=True)
    assert said["costs"][0]["saved"] == lost - min(whole.found["without"].values())
    milder = {one["column"]: one["coarser"] for one in said["costs"]}
    assert whole.found["coarser"].keys() == {"age"}, "the only one of another degree"
    assert milder["age"]["saved"] == lost - whole.found["coarser"]["age"] and "10 ans" in milder["age"]["words"]
    assert not milder["admission_type_id"]


def test_no_value_of_a_small_group_is_kept_and_no_exact_share(stays):
    preview = computed(stays)

    with gzip.open(stays.source, "rt", newline="") as lines:
        stays_read = list(csv.DictReader(lines))
    for name, told in preview.found["losses"].items():
        for value, share in told:
            assert isinstance(share, int)
            if name == "gender" and value != "autre":
                assert len({row["patient_nbr"] for row in stays_read if row[name] == value}) >= previews.FLOOR
    assert preview.found["losses"]["gender"]


def test_asking_again_is_answered_at_once_and_takes_no_unit_of_the_month(stays):
    first = computed(stays)

    again = a_preview(stays)

    assert again == first
    assert Preview.objects.count() == 1
    assert QuotaUse.objects.filter(given_back_at=None).count() == 0
    acts = [act for (act,) in rows("SELECT payload::json->>'act' FROM audit_event") if act.endswith(".preview")]
    assert sorted(acts) == ["data.preview", "release.preview"]


def test_somebody_who_may_not_ask_for_the_release_is_refused_its_preview(stays):
    stranger = factories.user(organisation=stays.convention.organisation)

    with pytest.raises(Refused):
        a_preview(stays, by=stranger)

    assert not Preview.objects.exists()


def test_a_person_has_twenty_previews_a_day(stays):
    one = a_preview(stays)
    Preview.objects.bulk_create(
        Preview(
            convention=one.convention,
            dataset_version=one.dataset_version,
            recipe={},
            recipe_sha256="0" * 64,
            asked_by=one.asked_by,
        )
        for _more in range(previews.A_DAY - 1)
    )

    with pytest.raises(WrongState, match="Vingt aperçus"):
        a_preview(stays, ASKED[:4])

    Preview.objects.update(asked_at=clock.now() - timedelta(days=2))
    assert a_preview(stays, ASKED[:4]).status == "waiting"


def test_the_operator_previews_an_offer_and_others_may_not(stays):
    offer = stays.convention.offer
    operator = factories.user("Claire Opératrice", organisation=offer.dataset.zone.operator)
    grants.give(operator, "zones.operate", offer.dataset.zone, by=SYSTEM)

    preview = previews.answer(previews.of_offer(offer, by=operator))

    assert preview.status == "ready", preview.problem
    assert preview.found["rows_out"] > 0
    with pytest.raises(NotAllowed):
        previews.of_offer(offer, by=stays.person)


def test_the_worker_answers_through_its_queue_and_a_page_shows_it(stays):
    preview = a_preview(stays)
    client = signed_in(stays.person)
    page = f"/apercus/{preview.pk}/"

    waiting = client.get(page)
    tasks.answer_preview(preview_id=str(preview.pk))
    ready = client.get(page, headers={"HX-Request": "true"})
    stranger = factories.user(organisation=stays.convention.organisation)
    hidden = signed_in(stranger).get(page)

    assert 'hx-trigger="load delay:1s"' in waiting.content.decode()
    shown = ready.content.decode()
    assert 'data-status="ready"' in shown and "hx-trigger" not in shown
    assert "Gardée, mais moins précise" in shown and "par tranches de 10 ans au moins" in shown
    assert f'id="k-after">{preview.recipe["k"] and Preview.objects.get().found["k_min"]}<' in shown
    assert hidden.status_code == 404


def test_what_the_experimenter_reads_hides_who_objected_and_is_rounded(stays):
    preview = computed(stays)
    preview.found["rows_out"] = 5678
    preview.found["dropped"] |= {"opposed": 3, "small_class": 41}

    said = previews.explained(preview, whole=False)

    assert (said["rows_out"], previews.explained(preview, whole=True)["rows_out"]) == (5680, 5678)


def test_a_source_that_cannot_be_used_gives_a_reason(stays):
    preview = a_preview(stays)
    Preview.objects.update(recipe={**preview.recipe, "source_columns": ["rien"]})
    preview.refresh_from_db()

    previews.answer(preview)

    assert preview.status == "failed"
    assert "En-tête" in preview.problem or "en-tête" in preview.problem


def test_a_sample_asked_in_the_form_stands_in_the_recipe_and_in_the_next_form(stays):
    client = signed_in(stays.person)
    address = f"/conventions/{stays.convention.ref}/remises/apercu/"

    wrong = client.post(address, {"columns": list(ASKED), "part": "0"})
    answer = client.post(address, {"columns": list(ASKED), "part": "20"})

    assert wrong.status_code == 422
    preview = Preview.objects.get()
    assert answer["Location"] == f"/apercus/{preview.pk}/"
    assert preview.recipe["sample"] == {"per_mille": 200}
    previews.answer(preview)
    assert preview.found["dropped"]["not_sampled"] > preview.found["rows_out"]
    assert '<input type="hidden" name="part" value="20">' in client.get(answer["Location"]).content.decode()
