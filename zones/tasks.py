"""Jobs of the worker that holds the zone's sources."""

import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from broker import clock
from broker.errors import BadInput, TerrainError
from zones import actions, parquet, places, placing, rules, sealing, suggestion, tables
from zones.models import DatasetVersion, SourceOrder, VersionFile, Zone
from zones.reading import Ragged, Reading, Unreadable
from zones.sources import clear_copy, clear_scratch, guess_encoding, guess_header, guess_stack, relation

MEMORY = 1024  # MiB for the engine; what does not fit spills into the scratch folder
PATIENCE = 1800  # seconds
EACH_TIME = 100  # zones checked in one run; the others wait for the next day

# Roles whose values are nobody's to see.
HIDDEN = frozenset({"direct_identifier", "subject_key", "record_key", "birth", "free_text", "staff"})

# Roles by which others could know a person: their values make the classes of k.
KNOWN_BY = frozenset({"quasi_identifier", "geo", "birth"})

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
    files = list(version.files.select_related("table", "version__dataset"))
    at: list[VersionFile] = []  # the file that is being read
    try:
        actions.keep_profile(version, by=actions.WORKER, seen=_profiled(version, files, at))
    except BadInput as problem:
        told = str(problem)
        if at and len(files) > 1:
            told = _("Table « %(table)s » (%(file)s). %(problem)s") % {
                "table": at[0].table.name, "file": at[0].file_name, "problem": told
            }  # fmt: skip
        proposed = _mend_of(problem, at[0]) if at else {}
        actions.refuse_version(version, by=actions.WORKER, problem=told, proposed=proposed, file=at[0] if at else None)
    except ProfileDied:
        log.exception("the profile of version %s died", version.pk)
        told = _("L'examen ne s'est pas achevé : le fichier demande plus de mémoire ou de disque que l'ouvrier n'en "
                    "a. Découpez-le par période, ou prévenez l'administrateur.")  # fmt: skip
        actions.refuse_version(version, by=actions.WORKER, problem=told)


@app.task(name="zones.tasks.list_places", queue="builds")
def list_places(zone_id: int) -> None:
    """Look at the names and sizes of the files that the operator keeps for a zone, in every place known here."""
    zone = Zone.objects.select_related("operator").get(pk=zone_id)
    seen: dict[str, list[places.Found] | str] = {}
    for kind in places.known(zone):
        try:
            seen[kind] = places.of_zone(zone, kind).list()
        except BadInput as problem:
            seen[kind] = str(problem)
    placing.keep_listings(zone, by=actions.WORKER, seen=seen)


@app.task(name="zones.tasks.take_source", queue="builds", lock="builds")
def take_source(order_id: int) -> None:
    """Read a chosen file once for its SHA-256; it stays where it is. A worker killed on the way starts over."""
    order = _waiting_order(order_id)
    if order is None:
        return
    try:
        digest, size, resource = hashlib.sha256(), 0, ""
        for piece in places.of_zone(order.dataset.zone, order.place).open(order.ref, mark=order.mark):
            resource = resource if size else sealing.resource_of(piece)
            digest.update(piece)
            size += len(piece)
        if order.into is None:
            placing.receive_order(order, by=actions.WORKER, sha256=digest.hexdigest(), size=size)
        else:
            placing.gather_order(order, by=actions.WORKER, sha256=digest.hexdigest(), size=size, resource=resource)
    except TerrainError as problem:
        if _waiting_order(order_id) is None:  # given up while it was read
            return
        placing.refuse_order(order, by=actions.WORKER, problem=str(problem))


def _waiting_order(order_id: int) -> SourceOrder | None:
    """The choice of a file that nobody answered or gave up."""
    orders = SourceOrder.objects.waiting().select_related("dataset__zone__operator", "asked_by", "into__dataset")
    return orders.filter(pk=order_id).first()


def _mend_of(problem: BadInput, file: VersionFile) -> dict[str, Any]:
    """The options under which the same bytes could be read."""
    proposed = dict(problem.proposed) if isinstance(problem, Unreadable) else {}
    if "encoding" in proposed:
        proposed["encoding"] = guess_encoding(file, covered_by="data.profile")
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


def _profiled(version: DatasetVersion, files: list[VersionFile], at: list[VersionFile]) -> list[actions.SeenTable]:
    """What the engine saw of each table, then of the keys between them. `at` holds the file that is being read."""
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as copies:
        relations = {}
        for number, file in enumerate(files):
            at[:] = [file]
            tell = _steps(version, file, number, len(files))
            tell({"step": "open", "percent": 5})
            try:
                path = copies.enter_context(clear_copy(file, checked=True, covered_by="data.profile"))
            except Ragged as ragged:
                if stacked := guess_stack(file, covered_by="data.profile"):
                    raise _stacked(stacked) from None
                if not ragged.proposed:
                    ragged.proposed = guess_header(file, covered_by="data.profile")
                raise
            _one_table(file)
            relations[file.table.name] = relation(path, file.reading)
            order = {
                "relation": relations[file.table.name],
                "scratch": str(path.parent),
                "memory": MEMORY,
                "decimal": file.reading.get("decimal", "."),
                "personal": version.dataset.is_personal,
                "kinds": {name: parquet.kind_of(declared) for name, declared in file.reading.get("types", [])},
            }
            found[file.table.name] = run_apart(order, tell=tell)
            if len(found[file.table.name]["columns"]) == 1 and file.reading["format"] == "csv" and not file.proposed:
                file.proposed = guess_header(file, covered_by="data.profile")
        at.clear()
        links = _links(version, files, found, relations, str(path.parent))
        personal = version.dataset.is_personal
        keys = _suggested(_columns_of(found), links, personal=personal)
        columns_of = {
            file.table.name: [
                _column(one, file, rows=found[file.table.name]["rows"], links=links, keys=keys)
                for one in found[file.table.name]["columns"]
            ]
            for file in files
        }
        if personal:
            _measure_classes(version, columns_of, relations, str(path.parent))
    seen = []
    for file in files:
        told, columns = found[file.table.name], columns_of[file.table.name]
        proposed = {**file.proposed, **_dates_to_mend(told, Reading.of(file.reading))}
        seen.append(actions.SeenTable(file, told["rows"], file.reading, proposed, columns))
    return seen


def _suggested(
    columns: list[tables.Seen], links: dict[tuple[str, str], tables.Link], *, personal: bool
) -> dict[tuple[str, str], tuple[str, str]]:
    """The roles that keys speak for. Of a single table, only of the columns that name its own rows."""
    told = tables.suggested(columns, links, personal=personal)
    if len({column.table for column in columns}) > 1:
        return told
    return {place: told[place] for place in {*links, *(link.pair.key for link in links.values())} & told.keys()}


def _measure_classes(
    version: DatasetVersion, columns_of: dict[str, list[actions.SeenColumn]], relations: dict[str, str], scratch: str
) -> None:
    """How few persons share what each column tells, beside its profile: by the roles confirmed, else those suggested.

    Of several tables, those that hold the key of the person; of a single one without it, a row is a person."""
    confirmed = version.dataset.columns.exclude(role="").select_related("table")
    roles = {(column.table.name, column.name): column.role for column in confirmed}
    wanted = {}
    for name, columns in columns_of.items():
        role = {column.name: roles.get((name, column.name), column.role) for column in columns}
        subject = next((column for column in role if role[column] == "subject_key"), None)
        quasi = [column for column in role if role[column] in KNOWN_BY]
        if quasi and (subject or len(columns_of) == 1):
            wanted[name] = {"relation": relations[name], "subject": subject, "columns": quasi}
    if not wanted:
        return
    actions.note_progress(version, step="classes", percent=95)
    order = {"tables": wanted, "scratch": scratch, "memory": MEMORY}
    for name, told in run_apart(order, module="zones.classes")["classes"].items():
        shared = {"by": "subject" if wanted[name]["subject"] else "row", "subjects": told["subjects"]}
        for column in columns_of[name]:
            if column.name in told["columns"]:
                column.profile["classes"] = {**shared, **told["columns"][column.name], "together": told["together"]}


def _one_table(file: VersionFile) -> None:
    """Blank lines may part tables: a file that holds several is refused, with the offer to read them apart."""
    reading = Reading.of(file.reading)
    has_blank = reading.blank_lines or file.proposed.get("skip_blank")
    alone = reading.format != "csv" or reading.stacked or reading.skip_blank or not has_blank
    if not alone and (stacked := guess_stack(file, covered_by="data.profile")):
        raise _stacked(stacked)


def _stacked(stacked: list[tuple[str, int]]) -> Unreadable:
    return Unreadable(
        _("Le fichier contient %(n)s tables l'une sous l'autre. Acceptez de les lire à part, ou faites un fichier de "
          "chacune.") % {"n": len(stacked)},
        stacked=[list(pair) for pair in stacked],
    )  # fmt: skip


def _steps(version: DatasetVersion, file: VersionFile, number: int, count: int):
    """Says how far the examination is: of `count` tables, the one at `number`."""

    def tell(step: dict[str, Any]) -> None:
        percent = step["percent"] if count == 1 else round((number * 90 + step["percent"] * 0.9) / count)
        actions.note_progress(version, step=step["step"], percent=percent, table=file.table.name if count > 1 else "")

    return tell


def _columns_of(found: dict[str, dict[str, Any]]) -> list[tables.Seen]:
    return [
        tables.Seen(name, one["name"], one["type"], told["rows"], one["missing"], one["distinct"], one["length"])
        for name, told in found.items()
        for one in told["columns"]
    ]


def _links(
    version: DatasetVersion,
    files: list[VersionFile],
    found: dict[str, dict[str, Any]],
    relations: dict[str, str],
    scratch: str,
) -> dict[tuple[str, str], tables.Link]:
    """The keys between the tables, by (table, column): measured on the values, never by the names alone."""
    columns = _columns_of(found)
    there = {(column.table, column.name) for column in columns}
    confirmed = version.dataset.columns.exclude(references=None).select_related("table", "references__table")
    told = {pair.child: pair for pair in _stated(files) if pair.key in there}
    told |= {
        (column.table.name, column.name): tables.Pair(
            (column.table.name, column.name), (column.references.table.name, column.references.name)
        )
        for column in confirmed
    }
    declared = [pair for pair in told.values() if {pair.child, pair.key} <= there]
    pairs = tables.pairs(columns, declared)
    if not pairs:
        return {}
    actions.note_progress(version, step="links", percent=92)
    order = {
        "tables": relations,
        "pairs": [[list(pair.child), list(pair.key)] for pair in pairs],
        "scratch": scratch,
        "memory": MEMORY,
    }
    counts = run_apart(order, module="zones.linking")["links"]
    measured = [tables.Link(pair, **count) for pair, count in zip(pairs, counts, strict=True)]
    sure = {link.pair.child: link for link in measured if link.pair in declared}
    return tables.links(columns, measured) | sure


def _stated(files: list[VersionFile]) -> Iterator[tables.Pair]:
    """The keys that FHIR references state themselves, where the table of the type that they mean is there."""
    laid = {file.table.name: file.reading.get("mended", {}).get("fhir", {}) for file in files}
    table_of = {counts["resource"]: name for name, counts in laid.items() if counts}
    for name, counts in laid.items():
        for path, (resource, by) in counts.get("keys", {}).items():
            if resource in table_of:
                yield tables.Pair((name, path), (table_of[resource], by))


def run_apart(order: dict[str, Any], tell=lambda step: None, *, module: str = "zones.profile") -> dict[str, Any]:
    """`module` in a process of its own, so that neither its memory nor its faults are the worker's."""
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
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
                if "percent" not in told:
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


def _column(
    seen: dict[str, Any],
    file: VersionFile,
    *,
    rows: int,
    links: dict[tuple[str, str], tables.Link],
    keys: dict[tuple[str, str], tuple[str, str]],
) -> actions.SeenColumn:
    personal = file.version.dataset.is_personal
    resource = file.reading.get("mended", {}).get("fhir", {}).get("resource", "")
    if resource and personal:
        suggested = suggestion.suggest_fhir(seen, rows=rows, resource=resource)
    else:
        suggested = suggestion.suggest(seen, rows=rows, personal=personal)
    place = (file.table.name, seen["name"])
    if place in keys:
        suggested = suggestion.Suggestion(*keys[place])
    elif keys and resource and seen["name"].endswith(".reference") and suggested.role != "subject_key":
        suggested = suggestion.Suggestion("record_key", _("FHIR : un renvoi à une ressource qui n'est pas dans le jeu"))
    profile = {key: value for key, value in seen.items() if key not in ("name", "type", "years_00", "shapes", "void")}
    if (personal or "detected" in seen) and suggested.role in HIDDEN:
        for shown in ("top", "shape", "histogram", "from", "to"):  # values of identifiers are nobody's to see
            profile.pop(shown, None)
    if link := links.get(place):
        profile["link"] = link.as_json()
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
