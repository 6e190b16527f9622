"""The writes about files that stay where the operator keeps them: listed, chosen, read once, received as a version."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath

from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import User
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, WrongState
from zones import permissions, tables
from zones.actions import (
    WORKER,
    _check_twin,
    _draft,
    _receive,
    _receiving,
    check_free,
    dated,
    gathering,
    table_named,
)
from zones.models import Dataset, DatasetVersion, PlaceListing, SourceOrder, Table, VersionFile, Zone
from zones.places import Found
from zones.reading import Reading, named
from zones.sealing import MOST_FILES


@recorded("place.ask")
def ask_listing(zone: Zone, *, by: User) -> None:
    """Ask the worker what lies in the places of `zone`."""
    from zones.tasks import list_places

    describe(obj=zone, zone=zone.reference, org=zone.operator)
    permissions.require(by, "add_version", zone)
    list_places.defer(zone_id=zone.pk)


@recorded("place.list")
def keep_listings(zone: Zone, *, by=WORKER, seen: dict[str, list[Found] | str]) -> None:
    """Keep what the worker saw: by place its files, or what kept it from looking. A place that is gone goes."""
    counts = {place: len(files) if isinstance(files, list) else 0 for place, files in seen.items()}
    describe(obj=zone, zone=zone.reference, org=zone.operator, detail={"files": counts})
    zone.listings.exclude(place__in=seen).delete()
    for place, files in seen.items():
        told = {"files": [], "problem": files} if isinstance(files, str) else {
            "files": [{"ref": one.ref, "size": one.size, "mark": one.mark} for one in files], "problem": "",
        }  # fmt: skip
        PlaceListing.objects.update_or_create(zone=zone, place=place, defaults={**told, "listed_at": clock.now()})


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file as its listing names it, and how it is to be read."""

    place: str
    ref: str
    reading: Reading


@recorded("place.choose")
def choose_files(dataset: Dataset, *, by: User, files: Iterable[Chosen], more: bool = False) -> list[SourceOrder]:
    """Ask the worker to read files that it listed: a version of one table, or tables of the one in preparation.

    They join a version in preparation, begun here where there is none, when they are several, when `more` are to come,
    or when the dataset has several tables. Raises BadInput, WrongState.
    """
    from zones.tasks import take_source

    row = _receiving(dataset, by)
    chosen = {(one.place, one.ref): one.reading for one in files}
    told = [{"place": place, "ref": ref[:200], "reading": reading.asked} for (place, ref), reading in chosen.items()]
    describe(detail={"files": told} if len(told) > 1 else told[0] if told else {})
    if not chosen:
        raise BadInput(_("Choisissez un fichier."))
    if len(chosen) > MOST_FILES:
        raise BadInput(_("%(most)s fichiers au plus à la fois. Choisissez les autres ensuite.") % {"most": MOST_FILES})
    listed = {(listing.place, one["ref"]): one for listing in row.zone.listings.all() for one in listing.files}
    if not chosen.keys() <= listed.keys():
        raise BadInput(_("Ce fichier n'est pas dans la liste. Actualisez-la, puis choisissez-en un."))
    draft = gathering(row)
    waiting = list(row.source_orders.waiting())
    if any(order.into_id is None or (order.place, order.ref) in chosen for order in waiting):
        raise WrongState(_("Un fichier de ce jeu est déjà en train d'être lu. Attendez qu'il le soit."))
    if draft is None and (more or len(chosen) > 1 or row.tables.count() > 1):
        draft = _draft(row, by=by)
    orders = []
    for (place, ref), reading in chosen.items():
        found = listed[place, ref]
        order = SourceOrder.objects.create(
            dataset=row, into=draft, place=place, ref=ref, size=found["size"], mark=found["mark"],
            reading=dated(named(reading, ref)).as_json(), asked_by=by,
        )  # fmt: skip
        take_source.defer(order_id=order.pk)
        orders.append(order)
    if draft is not None:
        describe(obj=draft)
    return orders


@recorded("version.receive")
def receive_order(order: SourceOrder, *, by=WORKER, sha256: str, size: int) -> DatasetVersion:
    """The next version is the file where it lies, by the SHA-256 of what the worker read. Whoever asked may still."""
    row = _answering(order, sha256=sha256, size=size)
    if gathering(row) is not None:
        raise WrongState(_("Une version est en préparation : faites-la examiner ou abandonnez-la d'abord."))
    if row.tables.count() > 1:
        raise WrongState(_("Ce jeu a plusieurs tables : choisissez leurs fichiers ensemble."))
    _check_twin(row, sha256)
    table = row.tables.first() or Table.objects.create(dataset=row, name=tables.name_of(_name(order)), position=0)
    version = _draft(row, by=order.asked_by)
    _put_placed(order, version, table, sha256=sha256, size=size, reading=order.reading)
    return _receive(version)


@recorded("version.gather")
def gather_order(order: SourceOrder, *, by=WORKER, sha256: str, size: int, resource: str = "") -> DatasetVersion:
    """The file where it lies is a table of the version in preparation that it was chosen for: that of its name, or of
    the FHIR type that its first line names."""
    row = _answering(order, sha256=sha256, size=size)
    version = row.versions.get(orders=order)
    describe(obj=version)
    reading = Reading.of(order.reading)
    if resource and reading.format == "ndjson":
        reading = dated(replace(reading, format="fhir"))
    table = table_named(row, resource or tables.name_of(_name(order)))
    check_free(version, table, _name(order))
    _put_placed(order, version, table, sha256=sha256, size=size, reading=reading.as_json())
    return version


def _answering(order: SourceOrder, *, sha256: str, size: int) -> Dataset:
    """The dataset of `order`, locked: whoever asked may still send it files."""
    row = _receiving(order.dataset, order.asked_by)
    told = {"file": order.ref, "place": order.place, "sha256": sha256, "size": size, "reading": order.reading}
    describe(detail={**told, "asked_by": str(order.asked_by.pk)})
    if not row.source_orders.waiting().filter(pk=order.pk).exists():
        raise WrongState(_("Ce fichier n'est plus attendu : sa version a été abandonnée."))
    return row


def _name(order: SourceOrder) -> str:
    return PurePath(order.ref).name[:200]


def _put_placed(
    order: SourceOrder, version: DatasetVersion, table: Table, *, sha256: str, size: int, reading: dict
) -> None:
    order.file = VersionFile.objects.create(
        version=version, table=table, file_name=_name(order), sha256=sha256, size=size, format=reading["format"],
        reading=reading, place=order.place, place_ref=order.ref, place_mark=order.mark,
    )  # fmt: skip
    order.save(update_fields=["file"])


@recorded("version.refuse")
def refuse_order(order: SourceOrder, *, by=WORKER, problem: str) -> None:
    zone = order.dataset.zone
    detail = {"file": order.ref[:200], "place": order.place, "problem": problem}
    describe(obj=order.into or order.dataset, zone=zone.reference, org=zone.operator, detail=detail)
    order.problem = problem
    order.save(update_fields=["problem"])
