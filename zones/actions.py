"""The writes of zones and datasets. Each is a verb of the log; a refusal is recorded too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker import clock
from broker.accounts import grants
from broker.accounts.countersigning import countersign, pending
from broker.accounts.models import Countersign, Organisation, User
from broker.audit.actions import describe, recorded
from broker.audit.actor import Actor
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput, NotAllowed, Reason, Refused, WrongState
from broker.keys.tasks import create_key
from zones import facts, geography, permissions, tables
from zones.models import (
    Column,
    ColumnRole,
    Dataset,
    DatasetVersion,
    Domain,
    SensitiveClass,
    Sensor,
    Service,
    Site,
    Table,
    VersionFile,
    Zone,
)
from zones.reading import Reading, named
from zones.sealing import Sealed

WORKER = Actor("service:worker", kind="service", auth="none")
S = Zone.Status
NEXT: dict[tuple[str, str], Zone.Status] = {  # the whole life of a zone
    (S.DRAFT, "open"): S.OPEN,
    (S.SUSPENDED, "open"): S.OPEN,
    (S.OPEN, "suspend"): S.SUSPENDED,
    (S.OPEN, "close"): S.CLOSED,
    (S.SUSPENDED, "close"): S.CLOSED,
    (S.DRAFT, "close"): S.CLOSED,
}
OPEN_ACT, CLOSE_ACT = "zone.open", "zone.close"
SLUG_SIGNS = 50
RESERVED = {"nouvelle", "communes"}  # paths of pages, which a zone of that name would hide


def free_slug(model, text: str, *, otherwise: str) -> str:
    """A slug made of `text` that no row of `model` bears yet."""
    base = slugify(text)[: SLUG_SIGNS - 4].strip("-") or otherwise
    taken = set(model.objects.filter(slug__startswith=base).values_list("slug", flat=True)) | RESERVED
    return next(slug for n in range(1, len(taken) + 2) if (slug := base if n == 1 else f"{base}-{n}") not in taken)


def _locked(zone: Zone) -> Zone:
    return Zone.objects.select_for_update(of=("self",)).select_related("operator").get(pk=zone.pk)


def _known_communes(codes: Iterable[str]) -> list[str]:
    codes = list(dict.fromkeys(code.strip().upper() for code in codes if code.strip()))
    if unknown := [code for code in codes if geography.find(code) is None]:
        raise BadInput(
            _("Code de commune inconnu : %(codes)s. Cherchez la commune par son nom.") % {"codes": ", ".join(unknown)}
        )
    return codes


# Zones


@recorded("zone.create")
def create_zone(
    *, by: User, kind: str, name: str, operator: Organisation, communes: Iterable[str], **presented
) -> Zone:
    """A draft, whose keys the worker makes at once. Whoever creates it acts for the operator; others are named."""
    describe(org=operator, detail={"kind": kind, "name": name})
    if operator.kind != Organisation.Kind.OPERATOR or not by.belongs_to(operator):
        raise NotAllowed(_("Seule une personne d'un organisme opérateur prépare une zone pour lui."))
    zone = Zone.objects.create(
        kind=kind,
        name=name,
        operator=operator,
        slug=free_slug(Zone, name, otherwise="zone"),
        communes=_known_communes(communes),
        **presented,
    )
    grants.give(by, "zones.operate", zone, by=by)
    for purpose in ("source", "token"):
        create_key.defer(purpose=purpose, ref=f"zone:{zone.pk}")
    describe(obj=zone, zone=zone.reference, org=operator, detail={"kind": kind, "communes": zone.communes})
    return zone


@recorded("zone.amend")
def amend_zone(zone: Zone, *, by: User, communes: Iterable[str] | None = None, **presented) -> Zone:
    """Correct the file of a draft, or of a suspended zone. A first signature on the former file no longer counts."""
    row = _locked(zone)
    describe(obj=row, zone=row.reference, org=row.operator, detail={"changed": sorted(presented)})
    permissions.require(by, "edit_zone", row)
    if row.status not in (S.DRAFT, S.SUSPENDED):
        raise WrongState(
            _("Une zone %(state)s ne se corrige pas. Suspendez-la d'abord.") % {"state": row.get_status_display()}
        )
    if communes is not None:
        row.communes = _known_communes(communes)
    for name, value in presented.items():
        setattr(row, name, value)
    row.save(update_fields=["communes", *presented])
    return row


def pending_opening(zone: Zone) -> Countersign | None:
    """The opening of `zone`, as its file stands, that waits for a second person."""
    return pending(OPEN_ACT, facts.opening_ref(zone))


def _may_open(zone: Zone, by: User) -> None:
    permissions.require(by, "open_zone", zone)
    if (zone.status, "open") not in NEXT:
        raise WrongState(_("La zone est déjà %(state)s.") % {"state": zone.get_status_display()})
    if reasons := facts.refusals(zone):
        describe(detail={"refused": [reason.code for reason in reasons]})
        raise Refused(_("Cette zone ne peut pas ouvrir."), reasons=reasons)


@recorded("zone.propose")
def propose_opening(zone: Zone, *, by: User, reason: str = "") -> Countersign:
    """The first of the two persons, once every check holds. Raises Refused with every reason."""
    row = _locked(zone)
    describe(obj=row, zone=row.reference, org=row.operator)
    _may_open(row, by)
    if pending_opening(row) is not None:
        raise WrongState(_("L'ouverture est déjà proposée : une deuxième personne doit contresigner."))
    return countersign(OPEN_ACT, facts.opening_ref(row), by=by, reason=reason)


@recorded("zone.open")
def open_zone(zone: Zone, *, by: User, reason: str = "") -> Zone:
    """The second person: every check again, then the zone is open. Raises Refused, WrongState, NotAllowed."""
    row = _locked(zone)
    describe(obj=row, zone=row.reference, org=row.operator)
    _may_open(row, by)
    if pending_opening(row) is None:
        raise WrongState(
            _("Personne n'a encore proposé l'ouverture de la zone telle qu'elle est. Proposez-la ; une autre personne "
              "contresignera.")
        )  # fmt: skip
    signed = countersign(OPEN_ACT, facts.opening_ref(row), by=by, reason=reason)
    row.status = NEXT[row.status, "open"]
    row.opened_at, row.checked_on = signed.second_at, clock.today()
    row.save(update_fields=["status", "opened_at", "checked_on"])
    return row


@recorded("zone.check")
def check_zone(zone: Zone, *, by=WORKER) -> tuple[Reason, ...]:
    """The conditions again, a year after they were last looked at. Those that fail suspend the zone; returns them."""
    row = _locked(zone)
    reasons = facts.refusals(row)
    describe(obj=row, zone=row.reference, org=row.operator, detail={"failed": [reason.code for reason in reasons]})
    if row.status != S.OPEN:
        raise WrongState(_("La zone est %(state)s : cet acte ne s'applique pas.") % {"state": row.get_status_display()})
    if reasons:
        _end(row, "suspend")
    else:
        row.checked_on = clock.today()
        row.save(update_fields=["checked_on"])
    return reasons


def _ending(zone: Zone, act: str, *, by: User, reason: str) -> Zone:
    """The zone, locked, for somebody who may do `act` in its state and says why."""
    row = _locked(zone)
    describe(obj=row, zone=row.reference, org=row.operator, detail={"reason": reason})
    permissions.require(by, f"{act}_zone", row)
    if not reason.strip():
        raise BadInput(_("Écrivez le motif : il figure au journal."))
    if (row.status, act) not in NEXT:
        raise WrongState(_("La zone est %(state)s : cet acte ne s'applique pas.") % {"state": row.get_status_display()})
    return row


def _end(row: Zone, act: str, *, at: datetime | None = None) -> Zone:
    row.status, row.closed_at = NEXT[row.status, act], at
    row.save(update_fields=["status", "closed_at"])
    raise_epoch(("zone", str(row.pk)))
    return row


@recorded("zone.suspend")
def suspend_zone(zone: Zone, *, by: User, reason: str) -> Zone:
    """Stop every access to the zone's data at once: one person suffices to stop, two to open again."""
    return _end(_ending(zone, "suspend", by=by, reason=reason), "suspend")


def pending_closing(zone: Zone) -> Countersign | None:
    """The closing of `zone` that waits for a second person."""
    return pending(CLOSE_ACT, zone.reference)


@recorded("zone.propose_closing")
def propose_closing(zone: Zone, *, by: User, reason: str) -> Countersign:
    """The first of the two persons. Nothing changes yet: whoever must stop everything now suspends the zone."""
    row = _ending(zone, "close", by=by, reason=reason)
    if row.status == S.DRAFT:
        raise WrongState(_("Un brouillon se ferme seul : rien n'y est encore ouvert."))
    if pending_closing(row) is not None:
        raise WrongState(_("La fermeture est déjà proposée : une deuxième personne doit contresigner."))
    return countersign(CLOSE_ACT, row.reference, by=by, reason=reason)


@recorded("zone.close")
def close_zone(zone: Zone, *, by: User, reason: str) -> Zone:
    """Close for good, as the second person; access ends at once. A draft, where nothing runs, needs only one."""
    row = _ending(zone, "close", by=by, reason=reason)
    if row.status == S.DRAFT:
        return _end(row, "close", at=clock.now())
    if pending_closing(row) is None:
        raise WrongState(_("Personne n'a encore proposé la fermeture. Proposez-la ; une autre personne contresignera."))
    signed = countersign(CLOSE_ACT, row.reference, by=by, reason=reason)
    return _end(row, "close", at=signed.second_at)


# People


def give_role(zone: Zone, *, by: User, user: User, role: str) -> None:
    """Name a colleague of the operator. Raises NotAllowed; BadInput when they belong elsewhere."""
    _check_people(zone, by=by, user=user)
    grants.give(user, f"zones.{role}", zone, by=by)


def take_role(zone: Zone, *, by: User, user: User, role: str) -> None:
    """Take a role back; somebody always stays who acts for the operator."""
    _check_people(zone, by=by, user=user, must_belong=False)
    if role == "operate" and len([u for u, roles in people_of(zone) if "operate" in roles and u != user]) == 0:
        raise BadInput(_("Il faut au moins une personne qui agit pour l'opérateur. Nommez-en une autre d'abord."))
    grants.take(user, f"zones.{role}", zone, by=by)


def _check_people(zone: Zone, *, by: User, user: User, must_belong: bool = True) -> None:
    permissions.require(by, "give_roles", zone)
    if must_belong and not user.belongs_to(zone.operator):
        raise BadInput(
            _("Seules les personnes de %(operator)s reçoivent un rôle dans cette zone.") % {"operator": zone.operator}
        )


def people_of(zone: Zone) -> list[tuple[User, frozenset[str]]]:
    """The persons of the operator today, with their roles on `zone`. Three queries, however many they are."""
    held = grants.holders(zone)
    colleagues = {m.user for m in zone.operator.memberships.current().select_related("user")}
    return [
        (user, held.get(user.pk, frozenset()))
        for user in sorted(colleagues, key=lambda u: (geography.plain(u.full_name), u.pk))
    ]


# Places


def _place(zone: Zone, *, by: User) -> Zone:
    row = _locked(zone)
    describe(zone=row.reference, org=row.operator)
    permissions.require(by, "add_place", row)
    if row.status == S.CLOSED:
        raise WrongState(_("La zone est fermée : plus rien ne s'y ajoute."))
    return row


@recorded("service.add")
def add_service(
    zone: Zone, *, by: User, name: str, head_name: str, participation_from: date, participation_until: date
):
    """A service that agreed to host tests between two days, both included. Raises BadInput."""
    row = _place(zone, by=by)
    if participation_until < participation_from:
        raise BadInput(_("Le dernier jour vient avant le premier. Échangez-les."))
    if row.services.filter(name=name).exists():
        raise BadInput(_("Un service porte déjà ce nom dans la zone. Choisissez-en un autre."))
    service = Service.objects.create(
        zone=row,
        name=name,
        head_name=head_name,
        participation_from=participation_from,
        participation_until=participation_until,
    )
    describe(obj=service, detail={"name": name, "from": participation_from, "until": participation_until})
    return service


@recorded("service.amend")
def amend_service(service: Service, *, by: User, **said) -> Service:
    """Correct a service, or end its participation by an earlier last day. Raises BadInput.

    Whoever shortens it ends what the service hosts: access is judged on these dates each time."""
    row = _place(service.zone, by=by)
    kept = row.services.select_for_update().get(pk=service.pk)
    if said["participation_until"] < said["participation_from"]:
        raise BadInput(_("Le dernier jour vient avant le premier. Échangez-les."))
    if row.services.filter(name=said["name"]).exclude(pk=kept.pk).exists():
        raise BadInput(_("Un service porte déjà ce nom dans la zone. Choisissez-en un autre."))
    changed = {name: value for name, value in said.items() if getattr(kept, name) != value}
    describe(obj=kept, detail={"name": kept.name, **changed})
    shorter = said["participation_until"] < kept.participation_until
    for name, value in changed.items():
        setattr(kept, name, value)
    kept.save(update_fields=sorted(changed) or None)
    if shorter:
        raise_epoch(("service", str(kept.pk)))
    return kept


@recorded("service.remove")
def remove_service(service: Service, *, by: User) -> None:
    """Take back a service that was added by mistake. One that holds data or a site is ended by its dates instead."""
    row = _place(service.zone, by=by)
    kept = row.services.select_for_update().get(pk=service.pk)
    describe(obj=kept, detail={"name": kept.name})
    if kept.datasets.exists() or kept.sites.exists():
        raise WrongState(
            _("Des données ou des sites dépendent de « %(name)s ». Avancez plutôt son dernier jour.")
            % {"name": kept.name}
        )
    kept.delete()


@recorded("site.add")
def add_site(zone: Zone, *, by: User, name: str, commune: str, service: Service | None = None,
             latitude: float | None = None, longitude: float | None = None) -> Site:  # fmt: skip
    """A place of the zone, in one of its communes. Raises BadInput."""
    row = _place(zone, by=by)
    (code,) = _known_communes([commune]) or [""]
    if code not in row.communes:
        raise BadInput(_("Ce site n'est pas dans une commune de la zone. Choisissez l'une d'elles."))
    if service is not None and service.zone_id != row.pk:
        raise BadInput(_("Ce service est celui d'une autre zone."))
    if row.sites.filter(name=name).exists():
        raise BadInput(_("Un site porte déjà ce nom dans la zone. Choisissez-en un autre."))
    site = Site.objects.create(
        zone=row, service=service, name=name, commune=code, latitude=latitude, longitude=longitude
    )
    describe(obj=site, detail={"name": name, "commune": code})
    return site


@recorded("sensor.add")
def add_sensor(zone: Zone, *, by: User, site: Site, name: str, kind: str, measures: str,
               installed_on: date | None = None) -> Sensor:  # fmt: skip
    row = _place(zone, by=by)
    if site.zone_id != row.pk:
        raise BadInput(_("Ce site est celui d'une autre zone."))
    if site.sensors.filter(name=name).exists():
        raise BadInput(_("Un capteur porte déjà ce nom sur ce site. Choisissez-en un autre."))
    sensor = Sensor.objects.create(site=site, name=name, kind=kind, measures=measures, installed_on=installed_on)
    describe(obj=sensor, detail={"name": name, "site": site.name})
    return sensor


# Datasets


def basis_problem(
    *, domains: Iterable[str], is_personal: bool, consent_required: bool = False, time_step: str = "", **_rest
) -> str:
    """Why a dataset may not rest on what is said; "" when it may. Source: legal-gate, section 3.2."""
    if consent_required and not is_personal:
        return _("Le consentement est celui de personnes : dites d'abord que les lignes en concernent.")
    fine = Domain.ENERGY_METERING in domains and time_step != Dataset.TimeStep.DAILY
    if is_personal and fine and not consent_required:
        return _(
            "Une courbe de charge plus fine qu'un jour exige le consentement de chaque usager (code de l'énergie, "
            "art. L.341-4) : dites que le jeu repose sur le consentement, ou que son pas est d'un jour ou plus."
        )
    return ""


@recorded("dataset.create")
def create_dataset(
    zone: Zone,
    *,
    by: User,
    title: str,
    summary: str,
    domains: list[str],
    is_personal: bool,
    service: Service | None = None,
    holder: Organisation | None = None,
    **presented,
) -> Dataset:
    """A draft of the zone, held by its operator unless another holder is named."""
    row = _locked(zone)
    describe(zone=row.reference, org=row.operator, detail={"title": title, "domains": domains})
    permissions.require(by, "create_dataset", row)
    if row.status == S.CLOSED:
        raise WrongState(_("La zone est fermée : plus rien ne s'y ajoute."))
    if service is not None and service.zone_id != row.pk:
        raise BadInput(_("Ce service est celui d'une autre zone."))
    if not domains:
        raise BadInput(_("Choisissez au moins un domaine de données."))
    holder = holder or row.operator
    if holder.pk != row.operator_id and not presented.get("holder_agreement", "").strip():
        raise BadInput(
            _("%(holder)s n'est pas l'opérateur de la zone : citez l'accord écrit par lequel il confie ces données.")
            % {"holder": holder}
        )
    if reason := basis_problem(domains=domains, is_personal=is_personal, **presented):
        raise BadInput(reason)
    dataset = Dataset.objects.create(
        zone=row,
        service=service,
        holder=holder,
        slug=free_slug(Dataset, title, otherwise="jeu"),
        title=title,
        summary=summary,
        domains=domains,
        is_personal=is_personal,
        **presented,
    )
    describe(obj=dataset)
    return dataset


@recorded("dataset.link")
def link_dataset(
    zone: Zone, *, by: User, title: str, summary: str, domains: list[str], is_personal: bool, open_url: str,
    origin: str, licence: str, period: str = "",
) -> Dataset:  # fmt: skip
    """List data that are already open elsewhere, at once and by their link: no version, no offer, no convention."""
    row = _locked(zone)
    describe(zone=row.reference, org=row.operator, detail={"title": title, "url": open_url})
    permissions.require(by, "create_dataset", row)
    if row.status not in (S.OPEN, S.SUSPENDED):
        raise WrongState(_("La zone n'est pas ouverte : ouvrez-la d'abord, à deux personnes."))
    _check_link(open_url, origin, licence)
    dataset = Dataset.objects.create(
        zone=row, holder=row.operator, slug=free_slug(Dataset, title, otherwise="jeu"), title=title, summary=summary,
        domains=domains, is_personal=is_personal, open_url=open_url, origin=origin, licence=licence, period=period,
        status=Dataset.Status.PUBLISHED, published_at=clock.now(),
    )  # fmt: skip
    describe(obj=dataset)
    return dataset


def _check_link(open_url: str, origin: str, licence: str) -> None:
    if not open_url.startswith("https://"):
        raise BadInput(_("L'adresse doit commencer par https:// : celle de la page où les données se prennent."))
    if not origin.strip() or not licence.strip():
        raise BadInput(_("Dites qui produit ces données et sous quelle licence."))


@recorded("dataset.amend")
def amend_dataset(dataset: Dataset, *, by: User, **said) -> Dataset:
    """Correct the words of a draft, or the line of data that are open elsewhere."""
    row = _locked_dataset(dataset)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator)
    permissions.require(by, "create_dataset", row.zone)
    if row.status != Dataset.Status.DRAFT and not (row.is_open_elsewhere and row.status == Dataset.Status.PUBLISHED):
        raise WrongState(_("Un jeu publié ne se corrige plus : des offres et des conventions citent sa fiche."))
    if row.is_open_elsewhere:
        _check_link(said.get("open_url", row.open_url), said["origin"], said["licence"])
    elif reason := basis_problem(
        **{
            name: said.get(name, getattr(row, name))
            for name in ("domains", "is_personal", "consent_required", "time_step")
        }
    ):
        raise BadInput(reason)
    changed = {name: value for name, value in said.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    row.save(update_fields=sorted(changed) or None)
    describe(detail={"changed": sorted(changed)})
    return row


@recorded("dataset.withdraw")
def withdraw_dataset(dataset: Dataset, *, by: User, reason: str) -> Dataset:
    """Take a dataset off the catalogue, for good. Every access to it ends: the gate reads this state."""
    row = _locked_dataset(dataset)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator, detail={"reason": reason})
    permissions.require(by, "publish_dataset", row.zone)
    if not reason.strip():
        raise BadInput(_("Écrivez le motif : il figure au journal."))
    if row.status == Dataset.Status.WITHDRAWN:
        raise WrongState(_("Ce jeu est déjà %(state)s.") % {"state": row.get_status_display()})
    row.status = Dataset.Status.WITHDRAWN
    row.save(update_fields=["status"])
    raise_epoch(("dataset", str(row.pk)))
    return row


def _locked_dataset(dataset: Dataset) -> Dataset:
    return Dataset.objects.select_for_update(of=("self",)).select_related("zone__operator").get(pk=dataset.pk)


def _receiving(dataset: Dataset, by: User) -> Dataset:
    """The dataset, locked, for somebody who may send it files. Raises NotAllowed, WrongState."""
    row = _locked_dataset(dataset)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator)
    permissions.require(by, "add_version", row.zone)
    if row.is_open_elsewhere:
        raise WrongState(_("Ces données sont ouvertes ailleurs : elles y restent, rien ne s'envoie ici."))
    if row.status == Dataset.Status.WITHDRAWN:
        raise WrongState(_("Ce jeu est retiré : il ne reçoit plus de version."))
    return row


@recorded("version.receive")
def add_version(dataset: Dataset, *, by: User, sealed: Sealed, reading: Reading) -> DatasetVersion:
    """Keep a sealed file as the next version and ask the worker to look at it, in one transaction."""
    row = _receiving(dataset, by)
    describe(
        detail={"file": sealed.file_name, "sha256": sealed.sha256, "size": sealed.size, "reading": reading.as_json()}
    )
    if gathering(row) is not None:
        raise WrongState(_("Une version est en préparation : ajoutez-y ce fichier, ou abandonnez-la d'abord."))
    _check_twin(row, sealed.sha256)
    version = _draft(row, by=by)
    _put(version, _table_for(row, sealed), sealed, reading)
    return _receive(version)


def _check_twin(dataset: Dataset, sha256: str) -> None:
    twin = dataset.versions.filter(sha256=sha256).exclude(status=DatasetVersion.Status.REFUSED).first()
    if twin is not None:
        raise BadInput(
            _("Ce fichier est déjà la version %(number)s de ce jeu, à l'octet près. Pour le lire autrement, ouvrez la "
              "page de cette version.") % {"number": twin.number}
        )  # fmt: skip


def gathering(dataset: Dataset) -> DatasetVersion | None:
    """The version of `dataset` that gathers its files."""
    return dataset.versions.filter(status=DatasetVersion.Status.DRAFT).first()


@recorded("version.gather")
def gather_files(dataset: Dataset, *, by: User, files: Iterable[tuple[Sealed, Reading]]) -> DatasetVersion:
    """Add sealed files to the version in preparation, a table each; begin it where there is none. Raises BadInput."""
    row = _receiving(dataset, by)
    files = list(files)
    describe(detail={"files": [{"file": one.file_name, "sha256": one.sha256, "size": one.size} for one, _r in files]})
    version = gathering(row) or _draft(row, by=by)
    for sealed, reading in files:
        table = _table_for(row, sealed, among_several=True)
        check_free(version, table, sealed.file_name)
        _put(version, table, sealed, reading)
    describe(obj=version)
    return version


def check_free(version: DatasetVersion, table: Table, file_name: str) -> None:
    """Raises BadInput where another file of `version` is that table already."""
    if there := version.files.filter(table=table).first():
        raise BadInput(
            _("« %(new)s » est la table « %(table)s », que « %(there)s » remplit déjà. Retirez l'un des deux, ou "
              "renommez le fichier : son nom est celui de sa table.")
            % {"new": file_name, "table": table.name, "there": there.file_name}
        )  # fmt: skip


@recorded("version.gather")
def fill_table(file: VersionFile, *, by: User, name: str) -> VersionFile:
    """A file of a version in preparation is the table `name`, whatever its own name says; "" gives it back the table
    of its own. Raises BadInput for a table that the dataset has not, or that another file fills."""
    row = _receiving(file.version.dataset, by)
    kept = VersionFile.objects.select_related("version", "table").get(pk=file.pk)
    _check_gathers(kept.version)
    wanted = name or tables.name_of(kept.file_name)
    describe(obj=kept.version, detail={"file": kept.file_name, "sha256": kept.sha256, "table": wanted})
    table = table_named(row, wanted) if not name else row.tables.filter(name=name).first()
    if table is None:
        raise BadInput(_("Ce jeu n'a pas de table « %(name)s » : choisissez-en une de la liste.") % {"name": name})
    if table.pk != kept.table_id:
        check_free(kept.version, table, kept.file_name)
        kept.table = table
        kept.save(update_fields=["table"])
        _drop_unused_tables(row)
    return kept


@recorded("version.take_back")
def take_back_file(file: VersionFile, *, by: User) -> None:
    """Remove a file from a version in preparation; its sealed bytes go too. Raises WrongState once it is received."""
    row = _receiving(file.version.dataset, by)
    kept = VersionFile.objects.select_related("version", "table").get(pk=file.pk)
    describe(obj=kept.version, detail={"file": kept.file_name, "sha256": kept.sha256})
    _check_gathers(kept.version)
    _forget([kept])
    _drop_unused_tables(row)


@recorded("version.take_back")
def drop_draft(version: DatasetVersion, *, by: User) -> None:
    """Give up a version in preparation and all its files."""
    row = _receiving(version.dataset, by)
    kept = row.versions.select_for_update(of=("self",)).get(pk=version.pk)
    files = list(kept.files.all())
    describe(obj=kept, detail={"files": [file.file_name for file in files]})
    _check_gathers(kept)
    _forget(files)
    kept.delete()
    _drop_unused_tables(row)


def _check_gathers(version: DatasetVersion) -> None:
    if version.status != DatasetVersion.Status.DRAFT:
        raise WrongState(_("Cette version est reçue : ses fichiers ne changent plus."))


def _forget(files: list[VersionFile]) -> None:
    """Sealed bytes that no other file names go once this transaction holds."""
    from zones.sealing import remove_stored

    for file in files:
        file.delete()
        if file.stored_as and not VersionFile.objects.filter(stored_as=file.stored_as).exists():
            transaction.on_commit(lambda stored=file.stored_as: remove_stored(stored))


def _drop_unused_tables(dataset: Dataset) -> None:
    dataset.tables.filter(files=None, columns=None).delete()


@recorded("version.receive")
def receive_version(version: DatasetVersion, *, by: User) -> DatasetVersion:
    """All the files are there: from here on they stay as they are, and the worker looks at them. Raises BadInput."""
    row = _receiving(version.dataset, by)
    kept = row.versions.select_for_update(of=("self",)).get(pk=version.pk)
    _check_gathers(kept)
    if waiting := list(kept.orders.waiting().values_list("ref", flat=True)):
        raise BadInput(
            _("Le poste de la zone lit encore %(names)s. Attendez qu'il ait fini, puis faites examiner la version.")
            % {"names": ", ".join(waiting[:10])}
        )
    if not kept.files.exists():
        raise BadInput(_("Aucun fichier : ajoutez au moins une table."))
    if gone := tables_missing(kept):
        raise BadInput(
            _(
                "Il manque une table que la version précédente avait : %(names)s. Ajoutez son fichier, ou dites lequel "
                "de ceux-ci c'est."
            )
            % {"names": ", ".join(gone)}
        )
    files = kept.files.select_related("table")
    _check_twin(row, tables.sha256_of((file.table.name, file.sha256) for file in files))
    return _receive(kept)


def tables_missing(version: DatasetVersion) -> list[str]:
    """The tables whose roles are confirmed and that `version` has no file for."""
    confirmed = version.dataset.tables.filter(columns__confirmed_at__isnull=False).distinct()
    present = {file.table_id for file in version.files.all()}
    return [table.name for table in confirmed if table.pk not in present]


def strangers(files: Iterable[VersionFile]) -> list[VersionFile]:
    """Those that are a table whose roles nobody has confirmed yet: a new one, or a known one under another name."""
    files = list(files)
    confirmed = Column.objects.filter(confirmed_at__isnull=False, table__in=[file.table_id for file in files])
    known = set(confirmed.values_list("table", flat=True))
    return [file for file in files if file.table_id not in known]


def _table_for(dataset: Dataset, sealed: Sealed, *, among_several: bool = False) -> Table:
    """The table that a file is of: the only one there is, or that of its name."""
    known = list(dataset.tables.all())
    alone = len(known) == 1 and not known[0].files.filter(version__status=DatasetVersion.Status.DRAFT).exists()
    if alone and not among_several:
        return known[0]
    return table_named(dataset, sealed.resource or tables.name_of(sealed.file_name))


def table_named(dataset: Dataset, name: str) -> Table:
    """The table of that name, capitals aside; made where there is none."""
    known = list(dataset.tables.all())
    found = next((table for table in known if table.name.lower() == name.lower()), None)
    after = max((table.position for table in known), default=-1) + 1
    return found or Table.objects.create(dataset=dataset, name=name, position=after)


def _put(version: DatasetVersion, table: Table, sealed: Sealed, reading: Reading) -> None:
    reading = named(reading, sealed.file_name)
    VersionFile.objects.create(
        version=version, table=table, file_name=sealed.file_name, sha256=sealed.sha256, size=sealed.size,
        stored_as=sealed.stored_as, format=reading.format, reading=dated(reading).as_json(),
    )  # fmt: skip


def _draft(dataset: Dataset, *, by: User) -> DatasetVersion:
    last = dataset.versions.order_by("-number").values_list("number", flat=True).first()
    return DatasetVersion.objects.create(
        dataset=dataset, number=(last or 0) + 1, status=DatasetVersion.Status.DRAFT, received_by=by
    )


def _receive(version: DatasetVersion) -> DatasetVersion:
    """The draft has all its files: from here on they stay as they are, and are looked at."""
    from zones.tasks import profile_version

    files = list(version.files.select_related("table"))
    version.sha256 = tables.sha256_of((file.table.name, file.sha256) for file in files)
    version.size = sum(file.size for file in files)
    version.status, version.progress = DatasetVersion.Status.RECEIVED, {"step": "received", "percent": 0}
    version.received_at = clock.now()
    version.save(update_fields=["sha256", "size", "status", "progress", "received_at"])
    describe(obj=version)
    profile_version.defer(version_id=version.pk)
    return version


@recorded("data.profile")
def begin_profile(version: DatasetVersion, *, by=WORKER) -> DatasetVersion:
    """The worker's own order to read a source: recorded before the first byte is opened."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset__zone").get(pk=version.pk)
    describe(obj=row, zone=row.dataset.zone.reference, detail={"dataset": row.dataset.slug})
    if row.status not in (DatasetVersion.Status.RECEIVED, DatasetVersion.Status.PROFILING):
        raise WrongState(_("Cette version a déjà été examinée."))
    row.status = DatasetVersion.Status.PROFILING
    row.save(update_fields=["status"])
    return row


@recorded("version.reread")
def reread_version(version: DatasetVersion, *, by: User, reading: Reading | Mapping[str, Reading]) -> DatasetVersion:
    """The same sealed bytes, read otherwise: a new version, so that what was made of the former one stays true.

    `reading` is that of the only file, or those of some tables by their names; the other files are read as before.
    """
    row = _receiving(version.dataset, by)
    files = list(version.files.select_related("table"))
    if isinstance(reading, Reading):
        reading = {version.only_file.table.name: reading}
    told = {name: chosen.asked for name, chosen in reading.items()}
    wanted = {
        file.table.name: named(reading.get(file.table.name, Reading.of(file.reading)), file.file_name) for file in files
    }
    describe(
        detail={
            "of": version.number,
            "sha256": version.sha256,
            "reading": told if len(files) > 1 else told[files[0].table.name],
        }
    )
    if gathering(row) is not None:
        raise WrongState(_("Une version est en préparation : faites-la examiner ou abandonnez-la d'abord."))
    live = row.versions.filter(sha256=version.sha256).exclude(status=DatasetVersion.Status.REFUSED)
    asked = {name: chosen.asked for name, chosen in wanted.items()}
    for twin in live.prefetch_related("files__table"):
        if asked == {file.table.name: Reading.of(file.reading).asked for file in twin.files.all()}:
            raise BadInput(
                _("Ces octets sont déjà lus ainsi : c'est la version %(number)s de ce jeu.") % {"number": twin.number}
            )
    made = _draft(row, by=by)
    for file in files:
        again = replace(wanted[file.table.name], blank_lines=None, columns=(), types=(), mended={})
        VersionFile.objects.create(
            version=made, table=file.table, file_name=file.file_name, sha256=file.sha256, size=file.size,
            stored_as=file.stored_as, format=again.format, place=file.place, place_ref=file.place_ref,
            place_mark=file.place_mark, reading=dated(again).as_json(),
        )  # fmt: skip
    return _receive(made)


@recorded("version.reread")
def unstack_version(version: DatasetVersion, *, by: User) -> DatasetVersion:
    """The same bytes, read as the tables that stand one under the other in them, as their examination proposed.

    The first one is the table of the file; the others are called by their first column.
    """
    row = _receiving(version.dataset, by)
    file = version.only_file
    stacked = file.proposed.get("stacked", [])
    describe(detail={"of": version.number, "sha256": version.sha256, "tables": [name for name, _n in stacked]})
    if not stacked:
        raise WrongState(_("L'examen de cette version n'a pas vu plusieurs tables."))
    if gathering(row) is not None:
        raise WrongState(_("Une version est en préparation : faites-la examiner ou abandonnez-la d'abord."))
    made = _draft(row, by=by)
    taken: set[int] = set()
    for number, (name, _rows) in enumerate(stacked, start=1):
        table = file.table if number == 1 else _table_called(row, tables.name_of(name), taken)
        taken.add(table.pk)
        reading = replace(Reading.of(file.reading), stacked=number, blank_lines=None, mended={})
        VersionFile.objects.create(
            version=made, table=table, file_name=file.file_name, sha256=file.sha256, size=file.size,
            stored_as=file.stored_as, format=file.format, place=file.place, place_ref=file.place_ref,
            place_mark=file.place_mark, reading=reading.as_json(),
        )  # fmt: skip
    return _receive(made)


def _table_called(dataset: Dataset, name: str, taken: set[int]) -> Table:
    """The table of that name, or the next free name, that no file has taken yet."""
    known = {table.name.lower(): table for table in dataset.tables.all()}
    for number in range(1, len(known) + 2):
        wanted = name if number == 1 else f"{name} {number}"
        found = known.get(wanted.lower())
        if found is None:
            after = max((table.position for table in known.values()), default=-1) + 1
            return Table.objects.create(dataset=dataset, name=wanted, position=after)
        if found.pk not in taken:
            return found
    raise AssertionError("a name among one more than there are is free")


def dated(reading: Reading) -> Reading:
    """FHIR patients have no age: it is told on the day of reception, once and for all, so that a rebuild finds it."""
    return replace(reading, age_on=clock.today().isoformat()) if reading.format == "fhir" else reading


@recorded("version.refuse")
def refuse_upload(dataset: Dataset, *, by: User, file_name: str, problem: str) -> None:
    """A file that was turned away at the door: nothing of it is kept but its name and why."""
    describe(
        obj=dataset,
        zone=dataset.zone.reference,
        org=dataset.zone.operator,
        detail={"file": file_name[:200], "problem": problem},
    )


@recorded("version.refuse")
def refuse_version(
    version: DatasetVersion,
    *,
    by=WORKER,
    problem: str,
    proposed: dict[str, Any] | None = None,
    file: VersionFile | None = None,
) -> None:
    """`proposed` are options that would mend the file at fault, where one is."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset__zone").get(pk=version.pk)
    describe(obj=row, zone=row.dataset.zone.reference, detail={"problem": problem})
    if proposed and file is not None:
        row.files.filter(pk=file.pk).update(proposed=proposed)
    row.status, row.problem = DatasetVersion.Status.REFUSED, problem
    row.save(update_fields=["status", "problem"])


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """What the profile saw of one column, and the role it suggests with its reason ("" when it has none)."""

    name: str
    type: str
    profile: dict[str, Any]
    role: str = ""
    because: str = ""
    sensitive_class: str = ""


@dataclass(frozen=True, slots=True)
class SeenTable:
    """What the profile saw of one file. `reading` holds what it counted, `proposed` what would mend it."""

    file: VersionFile
    rows: int
    reading: dict[str, Any]
    proposed: dict[str, Any]
    columns: list[SeenColumn]


def column_difference(dataset: Dataset, names: list[str]) -> str:
    """What keeps a file with these columns from being a version of `dataset`; "" when nothing does.

    As long as no role is confirmed the columns are those of the last file.
    """
    known = list(dataset.columns.values_list("path", "confirmed_at"))
    if not any(confirmed for _name, confirmed in known):
        return ""
    gone = [name for name, _c in known if name not in names]
    new = [name for name in names if name not in {name for name, _c in known}]
    if not gone and not new:
        return ""
    parts = []
    if gone:
        parts.append(_("absentes : %(names)s") % {"names": ", ".join(gone[:10])})
    if new:
        parts.append(_("nouvelles : %(names)s") % {"names": ", ".join(new[:10])})
    return _("Les colonnes ne sont plus celles dont les rôles sont confirmés (%(what)s). Reprenez l'en-tête d'origine, "
             "ou créez un autre jeu.") % {"what": " ; ".join(parts)}  # fmt: skip


@recorded("version.profile")
def keep_profile(version: DatasetVersion, *, by=WORKER, seen: Sequence[SeenTable]) -> None:
    """Keep what the worker saw of each table. Confirmed roles stay; suggestions are those of the last profile."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset__zone").get(pk=version.pk)
    dataset = _locked_dataset(row.dataset)
    several, rows = len(seen) > 1, sum(one.rows for one in seen)
    paths = {
        (one.file.table_id, column.name): tables.path_of(one.file.table.name, column.name, several=several)
        for one in seen
        for column in one.columns
    }
    mended = {one.file.table.name: one.reading.get("mended", {}) for one in seen}
    told: dict[str, Any] = {
        "columns": list(paths.values()),
        "mended": mended if several else next(iter(mended.values())),
    }
    if several:
        told["tables"] = {one.file.table.name: one.rows for one in seen}
    describe(obj=row, zone=dataset.zone.reference, n=rows, detail=told)
    if problem := column_difference(dataset, list(paths.values())):
        raise BadInput(problem)
    known = {(column.table_id, column.name): column for column in dataset.columns.all()}
    Column.objects.filter(pk__in=[column.pk for place, column in known.items() if place not in paths]).delete()
    for one in seen:
        for position, found in enumerate(one.columns):
            place = (one.file.table_id, found.name)
            column = known.get(place) or Column(dataset=dataset, table=one.file.table, name=found.name)
            column.path, column.position, column.type, column.profile = (
                paths[place],
                position,
                found.type,
                found.profile,
            )
            column.suggested_role, column.suggested_because = found.role, found.because[:200]
            if column.confirmed_at is None:
                column.sensitive_class = found.sensitive_class
            column.save()
        one.file.rows, one.file.reading, one.file.proposed = one.rows, one.reading, one.proposed
        one.file.save(update_fields=["rows", "reading", "proposed"])
    _drop_unused_tables(dataset)
    row.status, row.rows = DatasetVersion.Status.PROFILED, rows
    row.profiled_at, row.progress = clock.now(), {"step": "done", "percent": 100}
    row.save(update_fields=["status", "rows", "profiled_at", "progress"])


@dataclass(frozen=True, slots=True)
class ChosenRole:
    """`references` is the path of the key, in another table, whose values the column holds; "" for none."""

    role: str
    sensitive_class: str = ""
    description: str = ""
    references: str = ""


KEY_ROLES = frozenset({ColumnRole.SUBJECT_KEY, ColumnRole.RECORD_KEY})


@recorded("column.role")
def set_column_roles(dataset: Dataset, *, by: User, roles: Mapping[str, ChosenRole]) -> None:
    """Confirm the roles and keys of the columns, by path. Once published, a change ends what runs under the former."""
    row = _locked_dataset(dataset)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator)
    permissions.require(by, "set_roles", row.zone)
    columns = {column.path: column for column in row.columns.select_for_update(of=("self",)).select_related("table")}
    if unknown := [path for path in roles if path not in columns]:
        raise BadInput(_("Colonne inconnue : %(names)s.") % {"names": ", ".join(unknown[:10])})
    changed = {}
    for path, chosen in roles.items():
        column = columns[path]
        if chosen.role not in ColumnRole.values:
            raise BadInput(_("« %(name)s » : choisissez un rôle.") % {"name": path})
        klass = chosen.sensitive_class if chosen.role == ColumnRole.SENSITIVE else ""
        if chosen.role == ColumnRole.SENSITIVE and klass not in SensitiveClass.values:
            raise BadInput(_("« %(name)s » : dites de quelle sensibilité il s'agit.") % {"name": path})
        if row.is_personal and chosen.role == ColumnRole.TIMESTAMP and column.type in NO_MOMENT:
            raise BadInput(
                _("« %(name)s » : ses valeurs ne sont pas lues comme des dates. Relisez la version en disant leur "
                  "forme, ou choisissez un autre rôle.") % {"name": path}
            )  # fmt: skip
        key = columns.get(chosen.references)
        if chosen.references and key is None:
            raise BadInput(_("Colonne inconnue : %(names)s.") % {"names": chosen.references})
        key_pk = key.pk if key else None
        now = (column.role, column.sensitive_class, column.references_id)
        if now != (chosen.role, klass, key_pk) or column.confirmed_at is None:
            changed[path] = chosen.role + (f"/{klass}" if klass else "") + (f" -> {key.path}" if key else "")
            column.role, column.sensitive_class, column.references_id = chosen.role, klass, key_pk
            column.confirmed_by, column.confirmed_at = by, clock.now()
        column.description = chosen.description
    if problem := key_problem(list(columns.values())):
        raise BadInput(problem)
    fields = ["role", "sensitive_class", "references", "confirmed_by", "confirmed_at", "description"]
    Column.objects.bulk_update([columns[path] for path in roles], fields)
    if changed and row.status == Dataset.Status.PUBLISHED:
        raise_epoch(("dataset", str(row.pk)))
    describe(detail={"roles": changed})


# Types of columns by which no moment is told: it could neither be shifted nor end a pseudonym of the day.
NO_MOMENT = frozenset({"text", "integer", "number"})


def key_problem(columns: Iterable[Column]) -> str:
    """What is wrong with the keys of these columns, which are all those of a dataset; "" when nothing is."""
    by_pk = {column.pk: column for column in columns}
    subjects: dict[str, list[str]] = {}
    for column in by_pk.values():
        if column.role == ColumnRole.SUBJECT_KEY:
            subjects.setdefault(column.table.name, []).append(column.path)
    for paths in subjects.values():
        if len(paths) > 1:
            told = {"count": len(paths), "names": ", ".join(paths)}
            return _("Une seule colonne désigne la personne ; vous en avez %(count)s : %(names)s. Gardez celle qui "
                     "revient à chaque ligne d'une même personne.") % told  # fmt: skip
    for column in by_pk.values():
        if column.references_id is None:
            continue
        key = by_pk[column.references_id]
        names = {"name": column.path, "key": key.path}
        if key.pk == column.pk:
            return _("« %(name)s » renvoie à elle-même : choisissez la clé de la ligne qu'elle désigne.") % names
        is_another = column.role == ColumnRole.RECORD_KEY  # that of another row or person than the row's own
        if column.role not in KEY_ROLES or key.role not in KEY_ROLES or (column.role != key.role and not is_another):
            return (
                _("« %(name)s » renvoie à « %(key)s » : donnez à cette clé le rôle de clé du sujet ou de clé de lien, "
                  "et à la colonne le même, ou clé de lien si elle désigne une autre personne que la ligne.")
                % names
            )  # fmt: skip
        met = {column.pk}
        while key.references_id is not None:
            if key.pk in met:
                return _("« %(name)s » et « %(key)s » renvoient l'une à l'autre : gardez un seul sens.") % names
            met.add(key.pk)
            key = by_pk[key.references_id]
    return ""


def publication_obstacles(dataset: Dataset) -> list[str]:
    """What is missing before `dataset` may be published; empty means nothing."""
    obstacles = []
    columns = list(dataset.columns.select_related("table"))
    if not dataset.versions.filter(status=DatasetVersion.Status.PROFILED).exists():
        obstacles.append(_("Aucun fichier examiné : envoyez un fichier et attendez la fin de son examen."))
    if missing := sum(column.role == "" for column in columns):
        obstacles.append(
            ngettext(
                "%(count)s colonne n'a pas de rôle confirmé : confirmez-la.",
                "%(count)s colonnes n'ont pas de rôle confirmé : confirmez-les.",
                missing,
            )
            % {"count": missing}
        )
    if problem := key_problem(columns):
        obstacles.append(problem)
    if dataset.zone.status not in (S.OPEN, S.SUSPENDED):
        obstacles.append(_("La zone n'est pas ouverte : ouvrez-la d'abord, à deux personnes."))
    return obstacles


@recorded("dataset.publish")
def publish_dataset(dataset: Dataset, *, by: User) -> Dataset:
    """Show the dataset, never its rows, to everybody. Raises WrongState with everything that is missing."""
    row = _locked_dataset(dataset)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator)
    permissions.require(by, "publish_dataset", row.zone)
    if row.status != Dataset.Status.DRAFT:
        raise WrongState(_("Ce jeu est déjà %(state)s.") % {"state": row.get_status_display()})
    if obstacles := publication_obstacles(row):
        raise WrongState(" ".join(obstacles))
    row.status, row.published_at = Dataset.Status.PUBLISHED, clock.now()
    row.save(update_fields=["status", "published_at"])
    return row


@transaction.atomic
def note_progress(version: DatasetVersion, *, step: str, percent: int, table: str = "") -> None:
    """How far the worker is, and in which table, for the page that waits. Not an event."""
    told = {"step": step, "percent": percent, **({"table": table} if table else {})}
    DatasetVersion.objects.filter(pk=version.pk).update(progress=told)
