"""Jobs of the worker that holds the zone's sources."""

import json
import logging
import subprocess
import sys
import tempfile
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from broker import clock
from broker.errors import BadInput
from zones import actions, parquet, rules, sealing, suggestion
from zones.models import DatasetVersion, Zone
from zones.reading import Reading, Unreadable
from zones.sources import clear_copy, clear_scratch, guess_encoding, relation

MEMORY = 1024  # MiB for the engine; what does not fit spills into the scratch folder
PATIENCE = 1800  # seconds
EACH_TIME = 100  # zones checked in one run; the others wait for the next day

# Roles whose values are nobody's to see.
HIDDEN = frozenset({"direct_identifier", "subject_key", "record_key", "birth", "free_text", "staff"})

log = logging.getLogger(__name__)


class ProfileDied(RuntimeError):
    """The process that profiles ended without an answer; the message holds its last words."""


@app.task(name="zones.tasks.profile_version", queue="builds", lock="builds")
def profile_version(version_id: int) -> None:
    """Read a new version whole, once; keep what its columns look like, or refuse it with the mend.

    A worker killed on the way leaves the version "profiling"; the same job, run again, starts over.
    """
    version = DatasetVersion.objects.select_related("dataset__zone").get(pk=version_id)
    if version.status not in (DatasetVersion.Status.RECEIVED, DatasetVersion.Status.PROFILING):
        return
    clear_scratch()  # builds run one at a time: what lies there was left by a worker that was killed
    sealing.remove_stale()
    version = actions.begin_profile(version, by=actions.WORKER)
    try:
        found = _profiled(version)
        columns = [_column(seen, version, rows=found["rows"]) for seen in found["columns"]]
        actions.keep_profile(
            version,
            by=actions.WORKER,
            rows=found["rows"],
            reading=version.reading,
            proposed={**version.proposed, **_dates_to_mend(found, Reading.of(version.reading))},
            columns=columns,
        )
    except BadInput as problem:
        actions.refuse_version(version, by=actions.WORKER, problem=str(problem), proposed=_mend_of(problem, version))
    except ProfileDied:
        log.exception("the profile of version %s died", version.pk)
        told = _("L'examen ne s'est pas achevé : le fichier demande plus de mémoire ou de disque que l'ouvrier n'en "
                    "a. Découpez-le par période, ou prévenez l'administrateur.")  # fmt: skip
        actions.refuse_version(version, by=actions.WORKER, problem=told)


def _mend_of(problem: BadInput, version: DatasetVersion) -> dict[str, Any]:
    """The options under which the same bytes could be read."""
    proposed = dict(problem.proposed) if isinstance(problem, Unreadable) else {}
    if "encoding" in proposed:
        proposed["encoding"] = guess_encoding(version, covered_by="data.profile")
    return {name: value for name, value in proposed.items() if value}


def _dates_to_mend(found: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Columns whose years lack their century, and those whose dates have several shapes, with how many."""
    century, dates, absent = {}, {}, {}
    for column in found["columns"]:
        name = column["name"]
        if column.get("years_00") and name not in reading.century:
            century[name] = column["years_00"]
        if (void := column.get("void")) and name not in reading.absent:
            absent[name] = void
        if (shapes := column.get("shapes")) and name not in reading.dates:
            order = "dmy" if shapes["first_over_12"] else "mdy" if shapes["second_over_12"] else ""
            if order and not (shapes["first_over_12"] and shapes["second_over_12"]):
                dates[name] = {"order": order, "n": shapes["n"]}
    return {name: value for name, value in (("century", century), ("dates", dates), ("absent", absent)) if value}


def _profiled(version: DatasetVersion) -> dict[str, Any]:
    """What the engine saw; `version` gets its rows, what its reading counted and the mends proposed."""
    actions.note_progress(version, step="open", percent=5)
    with clear_copy(version, checked=True, covered_by="data.profile") as path:
        order = {
            "relation": relation(path, version.reading),
            "scratch": str(path.parent),
            "memory": MEMORY,
            "decimal": version.reading.get("decimal", "."),
            "personal": version.dataset.is_personal,
            "kinds": {name: parquet.kind_of(declared) for name, declared in version.reading.get("types", [])},
        }
        return run_apart(order, tell=lambda step: actions.note_progress(version, **step))


def run_apart(order: dict[str, Any], tell=lambda step: None) -> dict[str, Any]:
    """`zones.profile` in a process of its own, so that neither its memory nor its faults are the worker's."""
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "zones.profile"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=settings.BASE_DIR,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": order["scratch"]},
        )  # fmt: skip
        try:
            assert process.stdin and process.stdout  # noqa: S101  both are pipes
            process.stdin.write(json.dumps(order))
            process.stdin.close()
            result = None
            shown = -10
            for line in process.stdout:
                told = json.loads(line)
                if "rows" in told:
                    result = told
                elif told["percent"] >= shown + 5:
                    shown = told["percent"]
                    tell(told)
            process.wait(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode or result is None:
            complaints.seek(0)
            raise ProfileDied(f"the profile ended with {process.returncode}: {complaints.read()[-2000:]}")
    return result


def _column(seen: dict[str, Any], version: DatasetVersion, *, rows: int) -> actions.SeenColumn:
    personal = version.dataset.is_personal
    resource = version.reading.get("mended", {}).get("fhir", {}).get("resource", "")
    if resource and personal:
        suggested = suggestion.suggest_fhir(seen, rows=rows, resource=resource)
    else:
        suggested = suggestion.suggest(seen, rows=rows, personal=personal)
    profile = {key: value for key, value in seen.items() if key not in ("name", "type", "years_00", "shapes", "void")}
    if personal and suggested.role in HIDDEN:
        for shown in ("top", "shape", "histogram", "from", "to"):  # values of identifiers are nobody's to see
            profile.pop(shown, None)
    return actions.SeenColumn(
        name=seen["name"], type=seen["type"], profile=profile, role=suggested.role, because=suggested.because,
        sensitive_class=suggested.sensitive_class,
    )  # fmt: skip


@app.periodic(cron="40 4 * * *")
@app.task(name="zones.tasks.check_zones", queue="clock", queueing_lock="zones.check_zones")
def check_zones(timestamp: int) -> None:
    """Every year after its opening a zone meets its conditions again, or is suspended (legal-gate, section 3.1)."""
    due = Zone.objects.filter(status=Zone.Status.OPEN, checked_on__lte=clock.today() - timedelta(days=365))
    for zone in due.order_by("checked_on", "pk")[:EACH_TIME]:
        if rules.check_due(zone.checked_on) <= clock.today():
            actions.check_zone(zone, by=actions.WORKER)
