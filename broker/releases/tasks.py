"""Jobs of the worker: build a release, and take up again the builds whose worker died."""

import errno
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from broker.accounts.models import User
from broker.audit.actor import SYSTEM
from broker.errors import BadInput, TerrainError, WrongState
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from broker.releases import (
    actions,
    enclosing,
    engines,
    inquiries,
    licence,
    manifest,
    matching,
    previews,
    rebuilds,
    reconciliation,
    signing,
    store,
    withdrawals,
)
from broker.releases.models import Inquiry, Preview, Reconciliation, Release
from broker.releases.tables import quasi_of
from consent import consents, oppositions
from consent.models import Convention
from zones import groups, sources
from zones.models import DatasetVersion

log = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk without room, a user without any left
MEMORY_MIB = int(os.environ.get("TERRAIN_BUILD_MEMORY_MIB", "1024"))


class KeyPending(Exception):
    """The convention's key is being made by another job."""


# A database that went away, or a key a second too young: again, a few times. Anything else is not mended by waiting.
AGAIN = RetryStrategy(
    max_attempts=6, wait=1, linear_wait=1, retry_exceptions=[KeyPending, OperationalError, InterfaceError]
)


@app.task(name="broker.releases.tasks.build_release", queue="builds", lock="builds", retry=AGAIN, pass_context=True)
def build_release(context, release_id: str) -> None:
    last = context.job.attempts >= (AGAIN.max_attempts or 0)
    build(Release.objects.get(pk=release_id), is_last_try=last)


@app.periodic(cron="* * * * *")
@app.task(name="broker.releases.tasks.retry_stalled", queue="clock", pass_context=False)
def retry_stalled(timestamp: int) -> None:
    """Give back to the queue the builds whose worker has not been heard of for 30 s."""

    async def retry():
        for job in await app.job_manager.get_stalled_jobs(queue="builds", seconds_since_heartbeat=30):
            await app.job_manager.retry_job(job)

    async_to_sync(retry)()


@app.periodic(cron="* * * * *")
@app.task(name="broker.releases.tasks.honour_oppositions", queue="clock", queueing_lock="releases.honour_oppositions")
def honour_oppositions(timestamp: int) -> None:
    """After an objection: rebuild the releases that hold the person, order their recipients to remove them."""
    for release in rebuilds.stale():
        rebuilds.start(release, by=SYSTEM)
    withdrawals.ask()
    inquiries.forget_old()
    previews.forget_old()


# Beside the builds: the process that writes the files is the one that removes them.
@app.periodic(cron="40 * * * *")
@app.task(name="broker.releases.tasks.expire_files", queue="builds", queueing_lock="releases.expire_files")
def expire_files(timestamp: int) -> None:
    """Remove the files that are kept no longer: ninety days, and never after the convention."""
    for release in rebuilds.expired():
        actions.expire(release, by=SYSTEM)
    store.remove_gone()


@app.periodic(cron="20 3 * * *")
@app.task(name="broker.releases.tasks.reconcile_nightly", queue="clock", queueing_lock="releases.reconcile_nightly")
def reconcile_nightly(timestamp: int) -> None:
    """Lay bytes, deliveries, permits and the log side by side."""
    _alarm(reconciliation.run(by=SYSTEM))


@app.task(name="broker.releases.tasks.reconcile", queue="clock", lock="releases.reconcile",
          queueing_lock="releases.reconcile")  # fmt: skip
def reconcile(user_id: int) -> None:
    """The same, because an auditor asked."""
    auditor = User.objects.get(pk=user_id)
    _alarm(reconciliation.run(by=auditor, asked_by=auditor))


def _alarm(done: Reconciliation) -> None:
    if done.found:
        log.critical("bytes, deliveries and the log differ: %d differences, see /rapprochement/", done.found)


# What concerns persons has its own queue and its own process: it never waits behind a build.
@app.task(name="broker.releases.tasks.order_withdrawal", queue="subjects", lock="matching", retry=AGAIN)
def order_withdrawal(convention_id: int) -> None:
    """Compute the pseudonyms that one convention's recipient must remove, and write its order."""
    convention = Convention.objects.select_related("zone", "organisation").get(pk=convention_id)
    held = withdrawals.concerned(convention)
    pseudonyms: set[str] = set()
    for version, (_releases, tokens) in held.items():
        [source] = DatasetVersion.objects.filter(pk=version).select_related("dataset")
        found = matching.pseudonyms_of(source, tokens, matching.with_a_key([convention]), covered_by="withdrawal.order")
        pseudonyms.update(found.get(convention.pk, ()))
    releases = [release for several, _tokens in held.values() for release in several]
    withdrawals.give(
        convention, pseudonyms=pseudonyms, releases=releases, register=withdrawals.digest(held), by=actions.WORKER
    )


@app.task(name="broker.releases.tasks.answer_inquiry", queue="subjects", lock="matching", retry=AGAIN)
def answer_inquiry(inquiry_id: str) -> None:
    inquiry = Inquiry.objects.select_related("zone").get(pk=inquiry_id)
    if inquiry.status != Inquiry.Status.WAITING:
        return
    sub = None
    try:
        found, sub = inquiries.answer(inquiry)
    except (TerrainError, pyrage.DecryptError) as error:
        words = str(error) if isinstance(error, TerrainError) else _("La question ne s'ouvre pas avec cette clé.")
        found = {"problem": words}
    inquiries.keep(inquiry, found=found, sub=sub)


# Seconds for somebody who waits: never behind a build, and one at a time, so that a worker stays for the persons.
@app.task(name="broker.releases.tasks.answer_preview", queue="subjects", lock="previews", retry=AGAIN)
def answer_preview(preview_id: str) -> None:
    wanted = Preview.objects.select_related("dataset_version__dataset__zone__operator", "convention", "offer")
    previews.answer(wanted.get(pk=preview_id))


def build(release: Release, *, is_last_try: bool = False) -> Release | None:
    """Build `release` here and now; returns it ready, or None when it failed or was no longer to be built."""
    if release.status not in (Release.Status.QUEUED, Release.Status.BUILDING):
        return None
    ref = f"convention:{release.convention_id}"
    if not is_last_try and not DataKey.objects.filter(purpose=DataKey.Purpose.PSEUDONYM, ref=ref).exists():
        raise KeyPending(ref)
    try:
        release = actions.begin(release, by=actions.WORKER)
        return _build(release)
    except (OperationalError, InterfaceError):
        if not is_last_try:
            raise
        _fail(release, _("La base de données n'a pas répondu. Demandez à nouveau."))
        raise
    except DataKey.DoesNotExist:
        problem = _("La clé de la convention n'a pas été faite. L'opérateur doit relancer son poste de préparation.")
        _fail(release, problem)
    except actions.Overtaken:
        return None  # said in the log; the release is the other attempt's
    except TerrainError as error:
        _fail(release, str(error))
    except OSError as error:
        if error.errno not in FULL:
            _fail(release, _unforeseen())
            raise
        _fail(release, str(_no_room()))
    except Exception:
        _fail(release, _unforeseen())
        raise
    return None


def _fail(release: Release, problem: str) -> None:
    store.discard(actions.fail(release, by=actions.WORKER, problem=problem))


def _unforeseen() -> str:
    return _("La préparation s'est arrêtée sur une erreur imprévue ; rien n'a été remis. L'équipe est avertie.")


def _no_room() -> BadInput:
    return BadInput(_("Le disque du poste de préparation est plein. L'opérateur doit faire de la place."))


def _build(release: Release) -> Release:
    store.forget_attempts(release)
    settings.SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in settings.SCRATCH.glob("build-*"):  # one build at a time: what is there was left by a killed one
        shutil.rmtree(left, ignore_errors=True)
    for left in settings.SPARK_FOLDER.glob("build-*"):
        shutil.rmtree(left, ignore_errors=True)
    sources.clear_scratch()  # its clear copy too
    scratch = Path(tempfile.mkdtemp(prefix="build-", dir=settings.SCRATCH))
    try:
        job, mark = _job(release, scratch)
        actions.report_progress(release, "opening", 2)
        with clear(release.dataset_version, release.recipe, covered_by="data.build") as copies:
            result = run_engine(
                {**job, **copies}, scratch,
                lambda line: actions.report_progress(release, line["step"], line["percent"]),
            )  # fmt: skip
        result["sealed_to"] = job["recipients"]
        result["described"] = {name: job[name] for name in ("about", "words", "licence")}
        for name in ("opposed", "consented"):
            result[f"{name}_sha256"] = hashlib.sha256("".join(sorted(job[name])).encode()).hexdigest()
        tokens = (scratch / "tokens").read_bytes() if (scratch / "tokens").exists() else b""
        stored_as = store.publish(release)
        ready = actions.finish(release, by=actions.WORKER, result=result, mark=mark, tokens=tokens, stored_as=stored_as)
        # What was replaced, now or by a worker that died right after: its file goes.
        store.remove_gone()
        return ready
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        store.forget_attempts(release)


@contextmanager
def clear(version: DatasetVersion, recipe: dict, *, covered_by: str, prefix: str = "source-") -> Iterator[dict]:
    """The clear copies that the engine reads: of the only table, or of each by its name."""
    if recipe.get("format", 1) == 1:
        with sources.clear_copy(version, covered_by=covered_by, prefix=prefix) as path:
            yield {"source": str(path)}
        return
    with sources.clear_copies(version, covered_by=covered_by, prefix=prefix) as paths:
        yield {"sources": {name: str(path) for name, path in paths.items()}}


def _job(release: Release, scratch: Path) -> tuple[dict, str]:
    """The engine's job, and the watermark of the convention. Keys are opened under the event `data.build`."""
    keys, zone = KeyStore(settings.KEY_STORE), release.convention.zone
    key = keys.open("pseudonym", f"convention:{release.convention_id}", covered_by="data.build")
    mark = manifest.watermark(key, release.recipe["convention"], release.recipe_sha256)
    signing.living_key(zone)
    described = enclosing.described(release, mark)
    job = {
        "recipe": release.recipe,
        "output": str(store.attempt_path(release)),
        "scratch": str(scratch),
        "recipients": [],
        "pseudonym_key": key.decode(),
        "token_key": "",
        "opposed": [],
        "consented": [],
        "marks": {
            "terrain_kind": "experimental",
            "terrain_convention": release.recipe["convention"],
            "terrain_watermark": mark,
            "terrain_licence": licence.mention(described["about"]["licence"]),
        },
        "lookups": {"commune_group": str(groups.PATH)},
        **described,  # written into an archive of several tables (`packages`)
        "memory_mib": MEMORY_MIB,
        "threads": os.cpu_count() or 1,
    }
    if server := engines.server_of(release.recipe):
        job["spark"] = server
    if release.recipe["output"]["sealed"]:
        job["recipients"] = [release.convention.environment.age_recipient]
    if release.recipe["personal"]:
        job["token_key"] = keys.open("token", f"zone:{zone.pk}", covered_by="data.build").decode()
        dataset, at = release.dataset_version.dataset, release.opposition_snapshot_at
        job["opposed"] = sorted(token.hex() for token in oppositions.tokens_in_force(zone, dataset, at))
        if wanted := release.recipe.get("consent"):
            agreed = consents.tokens_in_force(dataset, purpose=wanted["purpose"], category=wanted["recipient"], at=at)
            job["consented"] = sorted(token.hex() for token in agreed)
    return job, mark


def run_engine(job: dict, scratch: Path, progress) -> dict:
    """Run one build in its own process; returns what it measured. Raises BadInput with words for people.

    Its environment holds neither the database's address nor the site's secret.
    """
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    with (scratch / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "broker.releases.engine"], cwd=settings.BASE_DIR, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8",
        )  # fmt: skip
        try:
            json.dump(job, process.stdin)
            process.stdin.close()
            last: dict = {}
            for line in process.stdout:
                last = json.loads(line)
                if "step" in last:
                    progress(last)
        finally:
            if process.poll() is None and not last_word(last):
                process.kill()
            process.wait()
            process.stdout.close()
    if "result" in last:
        return last["result"]
    raise _refusal(last, job["recipe"], process.returncode)


def last_word(line: dict) -> bool:
    return any(name in line for name in ("result", "refused", "failed"))


def _refusal(last: dict, recipe: dict, code: int) -> TerrainError:
    """What the engine could not do, in words, with the mend."""
    facts = last.get("facts", {})
    match last.get("refused"):
        case "empty" if recipe.get("consent"):
            return BadInput(
                _(
                    "Personne n'a encore consenti à cet usage, ou plus personne : la remise serait vide. Écrivez à "
                    "l'opérateur pour recruter des participants."
                )
            )
        case "suppression" | "k" | "empty":
            return BadInput(
                _(
                    "Des personnes seraient trop peu nombreuses à partager les mêmes caractéristiques (minimum %(k)s), "
                    "et il faudrait retirer plus de %(max)s %% des lignes. Réduisez la précision : demandez moins de "
                    "colonnes qui décrivent la personne (%(names)s)."
                )
                % {
                    "k": recipe["k"],
                    "max": recipe["suppression_max_pct"],
                    "names": ", ".join(quasi_of(recipe)) or "—",
                }
            )
        case "no_age":
            return BadInput(
                _("Aucune colonne ne dit l'âge : les mineurs ne peuvent pas être exclus. L'opérateur doit l'indiquer.")
            )
        case "doubled":
            return BadInput(
                _("La table « %(table)s » a plusieurs lignes pour %(n)s personnes : elle doit en avoir une chacune. "
                  "Le responsable du jeu doit dire à quelle table les autres renvoient.")
                % {"table": facts["table"], "n": facts["subjects"]}
            )  # fmt: skip
        case "header":
            return BadInput(
                _("L'en-tête du fichier n'est plus celui du jeu (colonnes absentes : %(names)s). Déposez-le à nouveau.")
                % {"names": ", ".join(facts.get("missing", [])) or "—"}
            )
        case "lookup":
            return BadInput(
                _("La table des groupes de communes n'est plus celle de la recette. Demandez une nouvelle remise.")
            )
        case "type":
            return BadInput(
                _("Des valeurs ne sont pas du type de leur colonne : %(names)s. Corrigez le type ou l'absence.")
                % {"names": ", ".join(f"{name} ({count})" for name, count in facts["columns"].items())}
            )
        case "identifier":
            return BadInput(
                _("Des identifiants ont été relevés dans %(names)s. L'opérateur doit revoir le rôle de ces colonnes.")
                % {"names": ", ".join(facts["columns"])}
            )
    if last.get("errno") in FULL:
        return _no_room()
    if last.get("failed") == "ServerSilent":
        return WrongState(
            _(
                "Le serveur Spark ne répond pas, ou s'est arrêté pendant la préparation. Rien n'a été remis. "
                "L'opérateur doit le remettre en marche ; demandez ensuite à nouveau."
            )
        )
    if last.get("failed") == "ServerRefused":
        return WrongState(
            _(
                "Le serveur Spark n'a pas pu mener la préparation à bien, souvent faute de mémoire. Rien n'a été "
                "remis. L'opérateur doit lire son journal ; demandez ensuite à nouveau, ou moins de colonnes."
            )
        )
    if last.get("failed") == "OutOfMemoryException" or code in (-9, 137):
        return BadInput(_("La préparation a dépassé sa mémoire. Demandez moins de colonnes, ou prévenez l'opérateur."))
    return WrongState(
        _("Le moteur de remise s'est arrêté (%(kind)s). Rien n'a été remis ; demandez à nouveau.")
        % {"kind": last.get("failed") or f"code {code}"}
    )
