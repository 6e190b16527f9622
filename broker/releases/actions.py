"""The writes of a release: asked, begun, ready or failed."""

import hashlib

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from broker import clock
from broker.accounts import machines
from broker.audit.actions import describe, recorded
from broker.audit.actor import Actor
from broker.errors import BadInput, NotAllowed, WrongState
from broker.keys.models import DataKey
from broker.releases import deliveries, enclosing, engines, facts, manifest, permissions, recipe, signing
from broker.releases.models import Receipt, Release, TraceEntry
from broker.releases.tables import is_single, tables_of
from consent import record
from consent.models import Convention, GateDecision
from zones.models import DatasetVersion

WORKER = Actor("service:worker", kind="service", auth="none")

# A release's whole life. `begin` on a release under way is a new attempt of a build whose worker died.
S = Release.Status
NEXT = {
    (S.QUEUED, "begin"): S.BUILDING,
    (S.BUILDING, "begin"): S.BUILDING,
    (S.BUILDING, "finish"): S.READY,
    (S.QUEUED, "fail"): S.FAILED,
    (S.BUILDING, "fail"): S.FAILED,
    (S.READY, "withdraw"): S.WITHDRAWN,
    (S.READY, "expire"): S.EXPIRED,
    (S.EXPIRED, "withdraw"): S.WITHDRAWN,
}


def newest_version(convention: Convention) -> DatasetVersion:
    """The version a release is made of today. Raises WrongState while there is none."""
    version = convention.offer.dataset.versions.filter(status="profiled").order_by("-number").first()
    if version is None:
        raise WrongState(_("Ce jeu n'a pas encore de version examinée : l'opérateur doit en déposer une."))
    return version


def request_release(
    convention: Convention, *, by, second_factor_at, address: str, columns: list[str], per_mille: int | None = None
) -> Release:
    """Ask for a release of `columns`. The gate decides and records first; a refusal raises Refused with every reason.

    The release and its job are one transaction, under the decision that permits them.
    """
    version, asked, permit = permitted(
        convention, by=by, second_factor_at=second_factor_at, address=address, columns=columns, per_mille=per_mille
    )
    try:
        return _create(convention, by=by, version=version, asked=asked, decision_id=permit.decision_id)
    except Exception:
        record.give_back(permit)  # nothing was made: the month's unit is free again
        raise


def permitted(
    convention: Convention, *, by, second_factor_at, address: str, columns: list[str], per_mille: int | None = None
):
    """The version, the recipe and the permit of a release of `columns`, judged and recorded by the gate.

    Raises Refused with every reason, BadInput when the recipe cannot be made."""
    version = newest_version(convention)
    offer_columns = list(convention.offer.columns.select_related("column"))
    wanted = list(columns)
    offered = {item.column.path for item in offer_columns}
    asked = None
    if set(wanted) <= offered:  # else the gate alone answers, with every reason
        asked = recipe.compose(
            convention=convention, version=version, offer_columns=offer_columns, wanted=wanted, ruleset="",
            duckdb=engines.embedded(), per_mille=per_mille,
        )  # fmt: skip
        asked["engine"] = engines.chosen(version.rows, asked["engine"])
    permit = record.decide(
        "release_create", by=by, convention=convention, version=version,
        columns=facts.gated_columns(asked, convention) if asked else wanted, purpose_kind=convention.purpose_kind,
        purpose_code=convention.purpose_code, second_factor_at=second_factor_at, address=address,
        delivery_mode=convention.offer.delivery_mode, now=clock.now(),
        overdue_orders=facts.overdue_orders(convention),
    )  # fmt: skip
    if asked is None:
        record.give_back(permit)
        raise BadInput(_("Ces colonnes ne font pas partie de l'offre. Retirez-les de la demande."))
    decision = GateDecision.objects.get(pk=permit.decision_id)
    return version, {**asked, "ruleset": decision.ruleset_version, "k": max(asked["k"], _k_owed(decision))}, permit


@recorded("release.request")
def _create(convention, *, by, version, asked, decision_id) -> Release:
    decision = GateDecision.objects.get(pk=decision_id)
    release = Release.objects.create(
        convention=convention, dataset_version=version, decision=decision, ruleset_version=decision.ruleset_version,
        recipe=asked, recipe_sha256=recipe.sha256(asked), delivery_mode=convention.offer.delivery_mode,
        requested_by=by, progress={"step": "waiting", "percent": 0},
    )  # fmt: skip
    app.configure_task("broker.releases.tasks.build_release", queue="builds", lock="builds").defer(
        release_id=str(release.pk)
    )
    describe(
        obj=release, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp=convention.purpose_kind,
        detail={"recipe_sha256": release.recipe_sha256, "decision": str(decision.pk)},
    )  # fmt: skip
    return release


def _k_owed(decision: GateDecision) -> int:
    """The threshold that the gate put into its obligation; 0 when it set none."""
    return max(
        (int(item.get("parameters", {}).get("k_min", 0)) for item in decision.obligations if isinstance(item, dict)),
        default=0,
    )


def obligations_of(decision: GateDecision) -> list[str]:
    return [item["name"] if isinstance(item, dict) else item for item in decision.obligations]


def _move(release: Release, act: str) -> Release:
    """The locked row in its next state, not saved. Raises WrongState."""
    row = Release.objects.select_for_update(of=("self",)).get(pk=release.pk)
    if (S(row.status), act) not in NEXT:
        raise WrongState(
            _("Cette remise est « %(status)s » : cela ne se fait plus.") % {"status": row.get_status_display()}
        )
    row.status = NEXT[S(row.status), act]
    return row


class Overtaken(WrongState):
    """Another attempt builds this release: what this one made is no longer wanted."""


def _require_attempt(row: Release, release: Release) -> None:
    if row.attempt != release.attempt:
        raise Overtaken(_("Une autre tentative a repris cette remise."))


def _tell(release: Release, **detail) -> None:
    convention = release.convention
    describe(
        obj=release, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp="experimentation", detail=detail,
    )  # fmt: skip


@recorded("data.build")
def begin(release: Release, *, by=WORKER) -> Release:
    """A worker takes the release: a new attempt, under the convention's key, with the register as it stands now."""
    row = _move(release, "begin")
    key = DataKey.objects.get(purpose=DataKey.Purpose.PSEUDONYM, ref=f"convention:{row.convention_id}")
    row.attempt += 1
    row.key = key
    row.opposition_snapshot_at = clock.now()
    row.save(update_fields=["status", "attempt", "key", "opposition_snapshot_at"])
    _tell(row, attempt=row.attempt, version=str(row.dataset_version), source_sha256=row.dataset_version.sha256)
    return row


@recorded("release.ready")
def finish(release: Release, *, by=WORKER, result: dict, mark: str, tokens: bytes, stored_as: str) -> Release:
    """The file is there: receipts, index of subjects and manifest are written with it, or nothing is.

    Raises WrongState when another attempt has taken over, BadInput when an obligation was not carried out.
    """
    row = _move(release, "finish")
    _require_attempt(row, release)
    owed = obligations_of(row.decision)
    made = manifest.receipts(owed, row.recipe, result, mark)
    undone = sorted(set(owed) - {one["obligation"] for one in made if one["is_done"]})
    if undone:
        raise BadInput(
            _("La préparation ne sait pas prouver ces obligations : %(names)s. L'opérateur en est averti.")
            % {"names": ", ".join(undone)}
        )
    Receipt.objects.filter(release=row).delete()
    Receipt.objects.bulk_create(Receipt(release=row, **one) for one in made)
    _write_trace(row, tokens)
    row.rows_in, row.rows_out = result["rows_in"], result["rows_out"]
    row.subjects_out, row.dropped, row.k_min = result["subjects_out"], result["dropped"], result["k_min"]
    row.clear_sha256, row.sha256, row.size = result["clear_sha256"], result["sha256"], result["size"]
    row.file_name, row.stored_as, row.built_at = file_name(row), stored_as, clock.now()
    clear = {"path": clear_name(row), "sha256": row.clear_sha256, "bytes": result["clear_size"]}
    if result["files"][0]["path"] is None:
        named = {"table": tables_of(row.recipe)[0]["name"], "path": clear["path"]}
        result = {**result, "files": [{**result["files"][0], **named}]}
    row.enclosed = enclosing.compose(result["described"], files=result["files"], clear=clear)
    key = signing.living_key(row.convention.zone)
    row.manifest = manifest.compose(
        release=row, recipe=row.recipe, result=result, mark=mark, made=made, file_name=row.file_name,
        built_at=row.built_at, enclosed=row.enclosed, rebuilt_from=_rebuilt_from(row),
        signed_by=signing.told(row.convention.zone, key),
    )  # fmt: skip
    signed = manifest.canonical(row.manifest)
    row.signature, row.signed_with = signing.sign(key, signed), key
    row.progress = {"step": "ready", "percent": 100, "losses": result["losses"], "merged": result["merged"]}
    if "tables" in result:
        row.progress["tables"] = [
            {n: one[n] for n in ("name", "rows_in", "rows_out", "dropped")} for one in result["tables"]
        ]
    row.save()
    _tell(
        row, sha256=row.sha256, receipts=[one["digest"] for one in made],
        manifest_sha256=hashlib.sha256(signed).hexdigest(), signed_with=row.manifest["signed_by"]["key"],
    )  # fmt: skip
    if row.replaces_id:
        withdraw(row.replaces, by=by, replaced_by=row)
    return row


@recorded("release.withdraw")
def withdraw(release: Release, *, by, replaced_by: Release) -> Release:
    """The release that was rebuilt is no longer served; the worker then removes its file."""
    row = _move(release, "withdraw")
    row.save(update_fields=["status"])
    _tell(row, replaced_by=str(replaced_by.pk))
    return row


@recorded("release.expire")
def expire(release: Release, *, by) -> Release:
    """Its file is kept no longer; the worker then removes it. Raises WrongState before its day."""
    row = _move(release, "expire")
    last = row.kept_until
    if last is None or last >= clock.today():
        raise WrongState(_("Le fichier de cette remise est encore conservé."))
    row.save(update_fields=["status"])
    _tell(row, kept_until=last.isoformat())
    return row


def _write_trace(release: Release, tokens: bytes) -> None:
    """The zone tokens of the subjects inside, sorted by token so that their order says nothing of the file's."""
    TraceEntry.objects.filter(release=release).delete()
    table = TraceEntry._meta.db_table
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} (release_id, token) FROM STDIN WITH (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["uuid", "bytea"])
        for start in range(0, len(tokens), 32):
            copy.write_row((release.pk, tokens[start : start + 32]))


def _rebuilt_from(release: Release) -> dict | None:
    """What this release was built again from, and whether it is the same to the byte once opened."""
    if (former := release.replaces) is None:
        return None
    return {
        "release": str(former.pk), "clear_sha256": former.clear_sha256,
        "is_identical": former.clear_sha256 == release.clear_sha256,
    }  # fmt: skip


def clear_name(release: Release) -> str:
    """The name of the file once opened: the same for two releases of one recipe."""
    output, dataset = release.recipe["output"], release.recipe["dataset"]
    ending = output["format"] if is_single(release.recipe) else "zip"
    return f"{dataset['slug']}-v{dataset['version']}-{release.recipe['convention']}.{ending}"


def file_name(release: Release) -> str:
    name, _dot, ending = clear_name(release).rpartition(".")
    return f"{name}-{str(release.pk)[:8]}.{ending}" + (".age" if release.recipe["output"]["sealed"] else "")


@recorded("release.fail")
def fail(release: Release, *, by=WORKER, problem: str) -> Release:
    """Nothing leaves: `problem` says why and what to do, without a value of the data."""
    row = _move(release, "fail")
    _require_attempt(row, release)
    row.problem = problem
    row.save(update_fields=["status", "problem"])
    _tell(row, problem=problem)
    return row


def give_order(release: Release, *, by, second_factor_at):
    """Tell the declared environment's machine to pull this release, once, within 24 h."""
    if release.status != S.READY:
        raise WrongState(_("La remise n'est pas prête : attendez la fin de sa préparation."))
    if release.delivery_mode != "environment":
        raise WrongState(_("Cette remise se télécharge directement : elle n'a pas besoin d'un ordre."))
    if not permissions.may_order(by, release):
        raise NotAllowed(_("Seule une personne nommée par la convention peut donner cet ordre."))
    deliveries.require_same_recipient(release, by=by)
    return machines.give_order(
        by=by, environment=release.convention.environment, action="release_download",
        object_ref=facts.reference(release), second_factor_at=second_factor_at,
    )  # fmt: skip


def report_progress(release: Release, step: str, percent: int) -> None:
    """Shown while it is built; not an event. Lost silently when another attempt has taken over."""
    Release.objects.filter(pk=release.pk, attempt=release.attempt, status=S.BUILDING).update(
        progress={"step": step, "percent": percent}
    )


def delivery_address(path: str) -> str:
    return settings.DELIVERY_URL.rstrip("/") + path
