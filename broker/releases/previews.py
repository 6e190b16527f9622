"""A release shown before it is asked for: the same plan on the same data, in figures alone.

A named person's preview passes the gate as the release itself would, and gives the month's unit back; the operator's,
of an offer, is of its own data. The zone's worker computes it; the answer is kept for the recipe's hash, so that the
same question is answered at once for a day. Twenty a day and a person: each choice of columns is an answer about
small groups, and enough of them would draw one (legal-gate, section 7).
"""

import secrets
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import grants
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, TerrainError, WrongState
from broker.keys.store import WORKER, KeyStore
from broker.releases import actions, engines, recipe, words
from broker.releases.models import Preview
from broker.releases.tables import columns_of, is_single, quasi_of
from consent import consents, oppositions, record, treatments
from consent.models import Convention, Offer
from zones import groups

A_DAY = 20  # previews one person may ask in a day
FRESH = timedelta(days=1)
KEPT_DAYS = 31
FLOOR = 11  # distinct subjects in a group that is told of (0.09 = 1/11, legal-gate 7.2)
ROUNDED_TO = 10  # rows, for whoever is not the operator's
MEMORY_MIB = 512

S = Preview.Status


def may_preview_offer(user, offer: Offer) -> bool:
    """The operator's people who prepare, advise or decide."""
    return any(grants.may(user, f"zones.{role}", offer.dataset.zone) for role in ("operate", "steward", "advise"))


def sees_reasons_of_loss(user, preview: Preview) -> bool:
    """Exact counts and who objected: the operator only, as for a release (legal-gate, scenario 12)."""
    return any(grants.may(user, f"zones.{role}", preview.zone) for role in ("operate", "steward", "advise", "audit"))


def of_release(
    convention: Convention, *, by, second_factor_at, address: str, columns: list[str], per_mille: int | None = None
) -> Preview:
    """Show what a release of `columns` would be. Raises Refused with every reason that would refuse the release."""
    version, asked, permit = actions.permitted(
        convention, by=by, second_factor_at=second_factor_at, address=address, columns=columns, per_mille=per_mille
    )
    record.give_back(permit)  # nothing leaves: the month keeps its unit
    return _ask(convention, version=version, asked=asked, by=by)


def of_offer(offer: Offer, *, by) -> Preview:
    """Show what a release of every column of `offer` would be, before any convention is signed."""
    if not may_preview_offer(by, offer):
        raise NotAllowed(_("L'aperçu d'une offre revient à l'opérateur de %s.") % offer.dataset.zone)
    if offer.dataset.consent_required:
        raise BadInput(
            _("Ce jeu ne part qu'avec le consentement de chacun : son aperçu se demande depuis une convention.")
        )
    columns = list(offer.columns.select_related("column"))
    # A convention that is not there yet: no name, no minors allowed, nobody's consent needed.
    stranger: Any = SimpleNamespace(
        ref=f"offre-{offer.pk}", offer=offer, minors_covered=False, purpose_code="", organisation=None
    )
    version = actions.newest_version(stranger)
    asked = recipe.compose(
        convention=stranger, version=version, offer_columns=columns, wanted=[one.column.path for one in columns],
        ruleset="", duckdb=engines.embedded(),
    )  # fmt: skip
    return _ask(offer, version=version, asked=asked, by=by)


def _ask(of: Convention | Offer, *, version, asked: dict, by) -> Preview:
    kept = _kept(recipe.sha256(asked), version)
    mine = kept.filter(asked_by=by).first()
    return mine or _made(of, version=version, asked=asked, same=kept.filter(status=S.READY).first(), by=by)


def _kept(sha256: str, version):
    """Previews of this recipe that still hold."""
    since = clock.now() - FRESH
    return Preview.objects.filter(recipe_sha256=sha256, dataset_version=version, asked_at__gt=since).exclude(
        status=S.FAILED
    )


@recorded("release.preview")
def _made(of: Convention | Offer, *, version, asked: dict, same: Preview | None, by) -> Preview:
    """The new preview: answered at once by the `same` one of somebody else, or waiting for the worker."""
    from broker.releases.tasks import answer_preview

    zone = version.dataset.zone
    describe(obj=of, zone=zone.reference, org=zone.operator)
    if Preview.objects.filter(asked_by=by, asked_at__gt=clock.now() - FRESH).count() >= A_DAY:
        raise WrongState(_("Vingt aperçus par jour et par personne : reprenez demain, ou demandez la remise."))
    preview = Preview.objects.create(
        **({"convention": of} if isinstance(of, Convention) else {"offer": of}), dataset_version=version, recipe=asked,
        recipe_sha256=recipe.sha256(asked), asked_by=by, progress={"step": "waiting", "percent": 0},
        **({"status": S.READY, "found": same.found, "answered_at": same.answered_at} if same else {}),
    )  # fmt: skip
    describe(detail={"recipe_sha256": preview.recipe_sha256, "preview": str(preview.pk)})
    if same is None:
        answer_preview.defer(preview_id=str(preview.pk))
    return preview


@recorded("data.preview")
def keep(preview: Preview, *, found: dict | None = None, problem: str = "", by=WORKER) -> Preview:
    """Write what was found, or why nothing was."""
    zone = preview.zone
    describe(obj=preview.convention or preview.offer, zone=zone.reference, org=zone.operator)
    preview.status = S.FAILED if found is None else S.READY
    preview.found, preview.problem, preview.answered_at = found or {}, problem, clock.now()
    preview.save(update_fields=["status", "found", "problem", "answered_at"])
    describe(detail={"recipe_sha256": preview.recipe_sha256, "preview": str(preview.pk)})
    return preview


def forget_old() -> int:
    """Remove previews nobody needs any more; the log keeps that they were asked."""
    return Preview.objects.filter(asked_at__lt=clock.now() - timedelta(days=KEPT_DAYS)).delete()[0]


# ------------------------------------------------------------------------------------------------ the worker's part


def compute(preview: Preview) -> dict:
    """The figures, from the data. Raises TerrainError with words for people."""
    from broker.releases.tasks import clear, run_engine

    settings.SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in settings.SCRATCH.glob("preview-*"):  # one preview at a time: what is there was left by a killed one
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="preview-", dir=settings.SCRATCH))
    try:
        version, asked = preview.dataset_version, preview.recipe
        with clear(version, asked, covered_by="data.preview", prefix="preview-source-") as copies:
            job = {**_job(preview), **copies, "scratch": str(scratch)}
            return run_engine(job, scratch, lambda line: _report(preview, line))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _job(preview: Preview) -> dict:
    """No key of the convention: pseudonyms are counted, never shown, so any key counts them alike.
    (A sample is then another draw of the same size: its figures are near those of the release, not the same.)"""
    dataset, zone, at = preview.dataset_version.dataset, preview.zone, clock.now()
    job = {
        "recipe": preview.recipe, "recipients": [],
        "preview": {"floor": max(FLOOR, preview.recipe["k"]), "coarser": coarser(preview.recipe)},
        "pseudonym_key": secrets.token_hex(32), "token_key": "", "opposed": [], "consented": [],
        "lookups": {"commune_group": str(groups.PATH)}, "memory_mib": MEMORY_MIB, "threads": 2,
    }  # fmt: skip
    if preview.recipe["personal"]:
        job["token_key"] = KeyStore().open("token", f"zone:{zone.pk}", covered_by="data.preview").decode()
        job["opposed"] = sorted(token.hex() for token in oppositions.tokens_in_force(zone, dataset, at))
        if wanted := preview.recipe.get("consent"):
            agreed = consents.tokens_in_force(dataset, purpose=wanted["purpose"], category=wanted["recipient"], at=at)
            job["consented"] = sorted(token.hex() for token in agreed)
    return job


def coarser(asked: dict) -> dict[str, dict]:
    """For each column by which a person could be known, the next treatment that tells less; of a single table."""
    if not is_single(asked):
        return {}
    known = {path: treatments.coarser(columns_of(asked)[path]["treatment"]) for path in quasi_of(asked)}
    return {path: treatment for path, treatment in known.items() if treatment}


def _report(preview: Preview, line: dict) -> None:
    Preview.objects.filter(pk=preview.pk, status=S.WAITING).update(
        progress={"step": line["step"], "percent": line["percent"]}
    )


def answer(preview: Preview) -> Preview:
    """Compute and keep; what cannot be computed is kept as a problem in words."""
    if preview.status != S.WAITING:
        return preview
    try:
        return keep(preview, found=compute(preview))
    except TerrainError as error:
        return keep(preview, problem=str(error))


# ------------------------------------------------------------------------------------------------ in words


def explained(preview: Preview, *, whole: bool) -> dict:
    """What the page says: figures, what each column costs, what to change. `whole`: exact, every reason."""
    found, asked = preview.found, preview.recipe
    if not found:
        return {}
    lost = found["dropped"].get("small_class", 0)
    left = found["rows_out"] + lost
    limit, milder = asked.get("suppression_max_pct", 0), coarser(asked)

    def saving(column: str, rows: int) -> dict:
        share = round(100 * (lost - rows) / left)
        return {"column": column, "saved": lost - rows, "share": share, "is_enough": rows * 100 <= limit * left}

    costs = sorted(
        (saving(name, rows) for name, rows in found.get("without", {}).items() if rows < lost),
        key=lambda one: -one["saved"],
    )
    by_column = {
        name: {**saving(name, rows), "words": treatments.words(milder[name])}
        for name, rows in found.get("coarser", {}).items()
        if name in milder
    }
    for one in costs:
        one["coarser"] = by_column.get(one["column"])
    groups_told = [
        {"column": name, "values": [{"label": value, "lost": share} for value, share in values if share]}
        for name, values in found.get("losses", {}).items()
    ]
    return {
        "rows_in": told(found["rows_in"], whole=whole),
        "rows_out": told(found["rows_out"], whole=whole),
        "lost_share": 100 * lost / left if left else 0,
        "limit": limit,
        "small_share_before": 100 * found.get("small_before", 0) / left if left else 0,
        "k": asked["k"],
        "k_before": found.get("k_before"),
        "k_after": found["k_min"],
        "refused": found.get("refused", ""),
        "identifiers": found.get("identifiers", []),
        "costs": costs,
        "has_coarser": any(one["coarser"] for one in costs),
        "groups": [one for one in groups_told if one["values"]],
        "seen": quasi_of(asked),
        "has_costs": "k_before" in found,
        "leaving": words.leaving(asked),
        "columns": [
            (path, treatments.words(c["treatment"]), path in quasi_of(asked)) for path, c in columns_of(asked).items()
        ],
    }


def told(rows: int, *, whole: bool) -> int:
    """`rows`, to ten for whoever is not the operator's: two questions that differ by a person have one answer."""
    return rows if whole else round(rows / ROUNDED_TO) * ROUNDED_TO
