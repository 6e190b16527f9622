"""What waits for one person in the room of consent: title, since when, the page, and whose turn it is.

Bounded: at most `MOST` of each kind, the oldest first; a fixed number of queries whatever the rows.
"""

from datetime import UTC, datetime

from django.db.models import Count, Exists, Min, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker.accounts import grants
from broker.accounts.desk import Task
from broker.accounts.models import Countersign, Role
from consent import desk_of_ends, readiness
from consent.models import (
    CommercialLicence,
    Convention,
    NamedPerson,
    ObjectionRequest,
    Offer,
    Opinion,
    RegistryEntry,
    Signature,
    StandingMandate,
)

MOST = 25


def waiting_for(user) -> list[Task]:
    """Everything that waits for `user`, their own turn first, the oldest first."""
    roles = {role: set(grants.held(user, f"zones.{role}")) for role in ("operate", "steward", "advise")}
    represented = user.represented_ids
    found = [
        *_registry_queue(user),
        *_own_registry(user),
        *_offers(user, roles, represented),
        *_conventions(user, represented),
        *_persons(roles["operate"]),
        *desk_of_ends.waiting_for(user, roles, represented),
        *_objections(roles["operate"] | roles["steward"] | roles["advise"]),
        *_readiness(user),
        *_licences(user, roles["operate"], represented),
    ]
    return sorted(
        found,
        key=lambda task: (not task.is_mine, task.since is None, task.since or datetime.max.replace(tzinfo=UTC)),
    )


def _registry_queue(user) -> list[Task]:
    """The clerk's files, oldest first; those one has already agreed to wait for a colleague."""
    if not user.holds(Role.REGISTRY_OFFICER):
        return []
    entries = (
        RegistryEntry.objects.filter(status=RegistryEntry.Status.UNDER_REVIEW)
        .exclude(organisation__in=user.organisation_ids)
        .select_related("organisation")
        .order_by("submitted_at", "pk")[:MOST]
    )
    agreed = set(
        Countersign.objects.filter(first_by=user, second_by=None, act__startswith="registry.").values_list(
            "object_ref", flat=True
        )
    )
    return [
        Task(
            _("Agrément de %(name)s, décision attendue le %(day)s")
            % {"name": entry.organisation, "day": entry.due_on.strftime("%d/%m/%Y") if entry.due_on else "…"},
            entry.submitted_at,
            reverse("registry-review", args=[entry.pk]),
            _("un second agent") if f"registry:{entry.pk}@{entry.version}" in agreed else "",
        )
        for entry in entries
    ]


def _own_registry(user) -> list[Task]:
    """Where one's own organisation stands on the registry."""
    if not user.organisation_ids:
        return []
    S = RegistryEntry.Status  # noqa: N806  short name of the states, as everywhere
    entries = RegistryEntry.objects.filter(
        organisation__in=user.organisation_ids, organisation__kind="experimenter",
        status__in=(S.DRAFT, S.INCOMPLETE, S.SUBMITTED, S.UNDER_REVIEW, S.SUSPENDED),
    )[:MOST]  # fmt: skip
    words = {
        S.DRAFT: (_("Demande d'agrément à terminer"), ""),
        S.INCOMPLETE: (_("Demande d'agrément à compléter"), ""),
    }
    link = reverse("registry-request")
    tasks = []
    for entry in entries:
        waits = (_("Demande d'agrément : %s") % entry.get_status_display(), _("l'agence du registre"))
        title, whose = words.get(entry.status, waits)
        tasks.append(Task(title, entry.submitted_at or entry.created_at, link, whose))
    return tasks


def _offers(user, roles, represented) -> list[Task]:
    """Offers to finish, to give an opinion on, to sign, to decide."""
    zones = set().union(*roles.values())
    if not zones and not represented:
        return []
    S = Offer.Status  # noqa: N806
    given = Opinion.objects.filter(offer=OuterRef("pk"))
    signed = StandingMandate.objects.filter(offer=OuterRef("pk"), party="operator")
    opened = Countersign.objects.filter(act="offer.publish", first_by=user, second_by=None)
    mine = set(opened.values_list("object_ref", flat=True))
    offers = (
        Offer.objects.filter(status__in=(S.DRAFT, S.UNDER_REVIEW))
        .filter(Q(dataset__zone__in=zones) | Q(dataset__zone__operator__in=represented))
        .select_related("dataset__zone")
        .annotate(
            dpo_given=Exists(given.filter(kind=Opinion.Kind.DPO)),
            head_given=Exists(given.filter(kind=Opinion.Kind.HEAD_OF_SERVICE)),
            is_signed=Exists(signed),
        )
        .order_by("created_at", "pk")[:MOST]
    )
    tasks = []
    for offer in offers:
        zone, name = offer.dataset.zone, offer.title

        def add(title, route, whose="", *, offer=offer, name=name):
            tasks.append(Task(title % name, offer.created_at, reverse(route, args=[offer.pk]), whose))

        if offer.status == S.DRAFT:
            if zone.pk in roles["operate"] | roles["steward"]:
                add(_("Offre « %s » à soumettre"), "offer-submit")
            continue
        if zone.pk in roles["advise"] and not offer.dpo_given:
            add(_("Avis du DPO sur l'offre « %s »"), "offer-opinion")
        if zone.pk in roles["steward"] and not offer.head_given:
            add(_("Avis du responsable de service sur l'offre « %s »"), "offer-opinion")
        if zone.operator_id in represented and not offer.is_signed:
            add(_("Termes de l'offre « %s » à signer"), "offer-mandate")
        if zone.pk in roles["operate"]:
            if not (offer.dpo_given and offer.head_given and offer.is_signed):
                add(_("Offre « %s » en décision : avis et signature attendus"), "offer-detail", _("vos collègues"))
            elif f"offer:{offer.pk}" in mine:
                add(_("Offre « %s » : votre accord est donné"), "offer-detail", _("un second agent"))
            else:
                add(_("Publication de l'offre « %s » à décider"), "offer-publish")
    return tasks


def _conventions(user, represented) -> list[Task]:
    """Conventions to sign, those that wait for another party, and those with nobody named yet."""
    if not user.organisation_ids:  # who represents a body belongs to it
        return []
    S = Convention.Status  # noqa: N806
    signed = Signature.objects.filter(convention=OuterRef("pk"))
    named = NamedPerson.objects.filter(convention=OuterRef("pk"))
    conventions = (
        Convention.objects.filter(status__in=(S.SIGNING, S.ACTIVE))
        .filter(
            Q(organisation__in=user.organisation_ids)
            | Q(zone__operator__in=represented)
            | Q(offer__dataset__holder__in=represented)
        )
        .select_related("offer__dataset__holder", "zone__operator", "organisation")
        .only(
            "ref",
            "status",
            "created_at",
            "activated_at",
            "organisation__name",
            "zone__operator__name",
            "offer__dataset__title",
            "offer__dataset__holder__name",
        )
        .annotate(
            by_experimenter=Exists(signed.filter(party="experimenter")),
            by_operator=Exists(signed.filter(party="operator")),
            by_holder=Exists(signed.filter(party="holder")),
            has_person=Exists(named),
        )
        .order_by("created_at", "pk")[:MOST]
    )
    tasks = []
    for convention in conventions:
        dataset, zone = convention.offer.dataset, convention.zone
        if convention.status == S.SIGNING:
            waiting = [
                (body, party)
                for body, party, done in (
                    (convention.organisation_id, convention.organisation.name, convention.by_experimenter),
                    (zone.operator_id, zone.operator.name, convention.by_operator),
                    (
                        dataset.holder_id,
                        dataset.holder.name,
                        convention.by_holder or dataset.holder_id == zone.operator_id,
                    ),
                )
                if not done
            ]
            mine = any(body in represented for body, _party in waiting)
            tasks.append(
                Task(
                    _("Convention %(ref)s à signer : %(dataset)s") % {"ref": convention.ref, "dataset": dataset},
                    convention.created_at,
                    reverse("convention-sign" if mine else "convention-detail", args=[convention.ref]),
                    "" if mine else ", ".join(party for _body, party in waiting),
                )
            )
        elif not convention.has_person and convention.organisation_id in represented:
            tasks.append(
                Task(
                    _("Convention %s : désignez les personnes habilitées") % convention.ref,
                    convention.activated_at, reverse("convention-people", args=[convention.ref]),
                )
            )  # fmt: skip
    return tasks


def _objections(zones) -> list[Task]:
    """Objections said on the public page, whose author the operator has yet to identify; one task a zone."""
    if not zones:
        return []
    waiting = (
        ObjectionRequest.objects.filter(zone__in=zones, status=ObjectionRequest.Status.WAITING)
        .values("zone__slug", "zone__name")
        .annotate(since=Min("received_at"), n=Count("pk"))
        .order_by("since")[:MOST]
    )
    return [
        Task(
            ngettext(
                "%(n)d opposition à vérifier, %(zone)s", "%(n)d oppositions à vérifier, %(zone)s", one["n"]
            ) % {"n": one["n"], "zone": one["zone__name"]},
            one["since"],
            reverse("objection-list", args=[one["zone__slug"]]),
        )
        for one in waiting
    ]  # fmt: skip


def _persons(zones) -> list[Task]:
    """Persons named by experimenters, to be confirmed by the operator."""
    if not zones:
        return []
    named = (
        NamedPerson.objects.filter(confirmed_at=None, until_day=None, convention__zone__in=zones)
        .filter(convention__status__in=("signing", "active", "suspended"))
        .select_related("user", "convention")
        .order_by("pk")[:MOST]
    )
    return [
        Task(
            _("%(person)s à confirmer sous %(ref)s") % {"person": person.user, "ref": person.convention.ref},
            person.convention.activated_at or person.convention.created_at,
            reverse("convention-people", args=[person.convention.ref]),
        )
        for person in named
    ]


def _readiness(user) -> list[Task]:
    """What the person still needs before the data of a convention open to them."""
    return [
        Task(
            _("%(ref)s : il vous manque %(missing)s") % {"ref": convention.ref, "missing": ", ".join(lacks)},
            convention.activated_at or convention.created_at,
            reverse("person-ready", args=[convention.ref]),
        )
        for convention, lacks in readiness.to_complete(user, MOST)
    ]


def _licences(user, zones, represented) -> list[Task]:
    """Requests for a commercial licence: to finish, waiting for an answer, to answer."""
    if not zones and not user.organisation_ids:
        return []
    S = CommercialLicence.Status  # noqa: N806
    rows = (
        CommercialLicence.objects.filter(
            Q(organisation__in=user.organisation_ids, status__in=(S.DRAFT, S.SUBMITTED))
            | Q(dataset__zone__in=zones, status=S.SUBMITTED)
        )
        .select_related("organisation", "dataset__zone__operator")
        .order_by("created_at", "pk")[:MOST]
    )
    tasks = []
    for row in rows:
        link, about = reverse("licence-detail", args=[row.ref]), {"ref": row.ref, "dataset": row.dataset}
        if row.status == S.DRAFT:
            mine = row.organisation_id in represented
            tasks.append(
                Task(
                    _("Demande de licence commerciale %(ref)s à déposer : %(dataset)s") % about,
                    row.created_at, link, "" if mine else _("votre représentant légal"),
                )
            )  # fmt: skip
            continue
        about["day"] = row.due_on.strftime("%d/%m/%Y")
        if row.organisation_id in user.organisation_ids:
            title = _("Demande de licence commerciale %(ref)s : réponse attendue le %(day)s") % about
            tasks.append(Task(title, row.submitted_at, link, str(row.dataset.zone.operator)))
        else:
            about["name"] = row.organisation
            title = _("Licence commerciale demandée par %(name)s sur %(dataset)s : répondre avant le %(day)s") % about
            tasks.append(Task(title, row.submitted_at, link))
    return tasks
