"""The writes about files that stay where the operator keeps them: listed, chosen, read once, received as a version."""

from pathlib import PurePath

from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import User
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, WrongState
from zones import permissions, tables
from zones.actions import WORKER, _check_twin, _draft, _receive, _receiving, dated, gathering
from zones.models import Dataset, DatasetVersion, PlaceListing, SourceOrder, Table, VersionFile, Zone
from zones.places import Found
from zones.reading import Reading, named


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


@recorded("place.choose")
def choose_file(dataset: Dataset, *, by: User, place: str, ref: str, reading: Reading) -> SourceOrder:
    """Ask the worker to read a file that it listed. Raises BadInput, WrongState."""
    from zones.tasks import take_source

    row = _placing(dataset, by)
    describe(detail={"place": place, "ref": ref[:200], "reading": reading.asked})
    listing = row.zone.listings.filter(place=place).first()
    listed = next((one for one in listing.files if one["ref"] == ref), None) if listing else None
    if listed is None:
        raise BadInput(_("Ce fichier n'est pas dans la liste. Actualisez-la, puis choisissez-en un."))
    if row.source_orders.filter(version=None, problem="").exists():
        raise WrongState(_("Un fichier de ce jeu est déjà en train d'être lu. Attendez qu'il le soit."))
    reading = named(reading, ref)
    order = SourceOrder.objects.create(
        dataset=row, place=place, ref=ref, size=listed["size"], mark=listed["mark"], reading=dated(reading).as_json(),
        asked_by=by,
    )  # fmt: skip
    take_source.defer(order_id=order.pk)
    return order


def _placing(dataset: Dataset, by: User) -> Dataset:
    row = _receiving(dataset, by)
    if gathering(row) is not None:
        raise WrongState(_("Une version est en préparation : faites-la examiner ou abandonnez-la d'abord."))
    if row.tables.count() > 1:
        raise WrongState(_("Ce jeu a plusieurs tables : envoyez leurs fichiers ensemble."))
    return row


@recorded("version.receive")
def receive_order(order: SourceOrder, *, by=WORKER, sha256: str, size: int) -> DatasetVersion:
    """The next version is the file where it lies, by the SHA-256 of what the worker read. Whoever asked may still."""
    row = _placing(order.dataset, order.asked_by)
    told = {"file": order.ref, "place": order.place, "sha256": sha256, "size": size, "reading": order.reading}
    describe(detail={**told, "asked_by": str(order.asked_by.pk)})
    _check_twin(row, sha256)
    name = PurePath(order.ref).name[:200]
    table = row.tables.first() or Table.objects.create(dataset=row, name=tables.name_of(name), position=0)
    version = _draft(row, by=order.asked_by)
    VersionFile.objects.create(
        version=version, table=table, file_name=name, sha256=sha256, size=size, format=order.reading["format"],
        reading=order.reading, place=order.place, place_ref=order.ref, place_mark=order.mark,
    )  # fmt: skip
    order.version = _receive(version)
    order.save(update_fields=["version"])
    return version


@recorded("version.refuse")
def refuse_order(order: SourceOrder, *, by=WORKER, problem: str) -> None:
    zone = order.dataset.zone
    detail = {"file": order.ref[:200], "place": order.place, "problem": problem}
    describe(obj=order.dataset, zone=zone.reference, org=zone.operator, detail=detail)
    order.problem = problem
    order.save(update_fields=["problem"])
