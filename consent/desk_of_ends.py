"""What waits because something stops or ends: suspensions, lost accreditations, attestations, second persons.

A part of `consent.desk`: bounded, the oldest first, a fixed number of queries whatever the rows.
"""

from django.db.models import Exists, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.desk import Task
from broker.accounts.models import Countersign, Role
from consent import life
from consent.models import AdversarialStep, Convention, ConventionAct, DeletionAttestation, RegistryEntry
from consent.transitions import registry, switch
from consent.transitions.convention import ATTESTED_WITHIN

MOST = 25
S = Convention.Status
E = RegistryEntry.Status
LOST = (E.WITHDRAWN, E.EXPIRED)


def waiting_for(user, roles: dict[str, set[int]], represented: list[int]) -> list[Task]:
    """Only what a role of theirs can meet is asked of the database."""
    zones = roles["operate"]
    found = [*_accreditations(user), *_switches(user, zones)]
    if zones:
        found += [*_suspended(zones), *_second_persons(user, zones), *_to_verify(zones)]
    if represented:
        found += [*_to_attest(represented), *_observations(represented)]
    return found


def _suspended(zones) -> list[Task]:
    """Suspended conventions: the operator lifts the cause, or decides when the accreditation is lost."""
    stopped = ConventionAct.objects.filter(convention=OuterRef("pk"), act="suspend").order_by("-at", "-pk")
    entries = RegistryEntry.objects.filter(organisation=OuterRef("organisation")).order_by("-created_at", "-pk")
    rows = (
        Convention.objects.filter(status=S.SUSPENDED, zone__in=zones, ends_on__gte=clock.today())
        .select_related("organisation")
        .annotate(
            stopped_at=Subquery(stopped.values("at")[:1]), entry_status=Subquery(entries.values("status")[:1]),
            entry_decided_at=Subquery(entries.values("decided_at")[:1]),
        )
        .order_by("stopped_at", "pk")[:MOST]
    )  # fmt: skip
    tasks = []
    for row in rows:
        if row.entry_status in LOST:
            day = life.add_working_days(life.day_of(row.entry_decided_at) or clock.today(), registry.TO_DECIDE)
            title = _("%(ref)s, %(who)s n'est plus agréé : résilier ou non, avant le %(day)s") % {
                "ref": row.ref, "who": row.organisation, "day": f"{day:%d/%m/%Y}",
            }  # fmt: skip
            tasks.append(Task(title, row.stopped_at, reverse("convention-terminate", args=[row.ref])))
        else:
            title = _("%(ref)s suspendue : lever la cause, puis rétablir l'accès") % {"ref": row.ref}
            tasks.append(Task(title, row.stopped_at, reverse("convention-detail", args=[row.ref])))
    return tasks


def _second_persons(user, zones) -> list[Task]:
    """Decisions on conventions that wait for a second officer."""
    opened = {
        decision.object_ref: decision
        for decision in Countersign.objects.filter(act__in=life.DECISIONS, second_by=None).order_by("first_at")[:200]
    }
    numbers = [ref.removeprefix("convention:").partition("@")[0] for ref in opened]
    tasks = []
    for row in Convention.objects.filter(pk__in=numbers, zone__in=zones)[:MOST]:
        decision = opened.get(f"convention:{row.pk}@{row.version}")
        if decision is None:
            continue
        name = "resume" if decision.act == "convention.resume" else "terminate"
        title = f"{row.ref} : {life.DECISIONS[decision.act]}"
        whose = _("un second agent") if decision.first_by_id == user.pk else ""
        tasks.append(Task(title, decision.first_at, reverse(f"convention-{name}", args=[row.ref]), whose))
    return tasks


def _to_attest(represented) -> list[Task]:
    """Conventions that are over and whose copies are not attested to be gone."""
    today = clock.today()
    rows = (
        Convention.objects.filter(organisation__in=represented)
        .filter(
            Q(status__in=(S.EXPIRED, S.TERMINATED))
            | Q(status__in=(S.ACTIVE, S.SUSPENDED), ends_on__lt=today)
            | Q(status__in=(S.ACTIVE, S.SUSPENDED), terminates_on__lt=today)
        )
        .exclude(Exists(DeletionAttestation.objects.filter(convention=OuterRef("pk"), answered_at=None)))
        .order_by("ends_on", "pk")[:MOST]
    )
    return [
        Task(
            _("%(ref)s est finie : attester la suppression avant le %(day)s")
            % {"ref": row.ref, "day": f"{min(row.last_day, today) + ATTESTED_WITHIN:%d/%m/%Y}"},
            row.activated_at,
            reverse("convention-attest", args=[row.ref]),
        )
        for row in rows
    ]


def _to_verify(zones) -> list[Task]:
    given = (
        DeletionAttestation.objects.filter(answered_at=None, convention__zone__in=zones)
        .select_related("convention__organisation")
        .order_by("signed_at", "pk")[:MOST]
    )
    return [
        Task(
            _("%(ref)s : attestation de suppression de %(who)s à vérifier")
            % {"ref": one.convention.ref, "who": one.convention.organisation},
            one.signed_at,
            reverse("convention-verify", args=[one.convention.ref]),
        )
        for one in given
    ]


def _accreditations(user) -> list[Task]:
    """For clerks: suspensions to confirm, withdrawals to decide, decisions that wait for a second clerk."""
    if not user.holds(Role.REGISTRY_OFFICER):
        return []
    opened = {
        (decision.act, decision.object_ref): decision
        for decision in Countersign.objects.filter(act__startswith="registry.", second_by=None).order_by("first_at")[
            :200
        ]
    }
    steps = AdversarialStep.objects.filter(entry=OuterRef("pk"), closed_at=None)
    rows = (
        RegistryEntry.objects.filter(status__in=(E.ACCREDITED, E.SUSPENDED))
        .filter(Q(status=E.SUSPENDED) | Exists(steps))
        .exclude(organisation__in=user.organisation_ids)
        .select_related("organisation")
        .annotate(
            answer_by=Subquery(steps.values("answer_by")[:1]), observed_at=Subquery(steps.values("observed_at")[:1])
        )
        .order_by("decided_at", "pk")[:MOST]
    )
    tasks = []
    for row in rows:
        ref, link = registry.countersign_ref(row), reverse("registry-review", args=[row.pk])
        second = _("un second agent")
        if confirm := opened.get(("registry.suspend", ref)):
            title = _("Suspension de %(name)s à confirmer, avant le %(day)s") % {
                "name": row.organisation, "day": f"{registry.confirm_by(row) or clock.today():%d/%m/%Y}",
            }  # fmt: skip
            tasks.append(Task(title, confirm.first_at, link, second if confirm.first_by_id == user.pk else ""))
        for act, title in (
            ("registry.withdraw", _("Retrait de l'agrément de %s à confirmer")),
            ("registry.reinstate", _("Agrément de %s à rétablir, en second")),
        ):
            if decision := opened.get((act, ref)):
                whose = second if decision.first_by_id == user.pk else ""
                tasks.append(Task(title % row.organisation, decision.first_at, link, whose))
        if row.answer_by and ("registry.withdraw", ref) not in opened:
            held = row.observed_at is not None or clock.today() > row.answer_by
            title = _("%s : observations closes, décider du retrait") if held else _("%s : observations attendues")
            whose = "" if held else _("l'organisation, jusqu'au %s") % f"{row.answer_by:%d/%m/%Y}"
            tasks.append(Task(title % row.organisation, row.observed_at or row.decided_at, link, whose))
    return tasks


def _observations(represented) -> list[Task]:
    steps = (
        AdversarialStep.objects.filter(entry__organisation__in=represented, closed_at=None, observed_at=None)
        .filter(answer_by__gte=clock.today(), entry__status__in=(E.ACCREDITED, E.SUSPENDED))
        .order_by("opened_at")[:MOST]
    )
    return [
        Task(
            _("L'agence envisage de retirer votre agrément : répondre avant le %s") % f"{step.answer_by:%d/%m/%Y}",
            step.opened_at, reverse("registry-observe"),
        )
        for step in steps
    ]  # fmt: skip


def _switches(user, zones) -> list[Task]:
    """Switches whose lifting a first person has asked for, and those on in one's own zones."""
    if not zones and not user.holds(Role.REGISTRY_OFFICER):
        return []
    if not switch.any_to_lift():
        return []
    rows = list(switch.seen_by(user)[:MOST])
    opened = switch.first_agreements(rows)
    targets = switch.targets_of(rows)
    tasks = []
    for row in rows:
        decision = opened.get(row.pk)
        if decision is None:
            continue
        title = _("Coupe-circuit sur %s : levée à contresigner") % targets[row.pk].name
        whose = _("une deuxième personne") if decision.first_by_id == user.pk else ""
        tasks.append(Task(title, decision.first_at, reverse("switch-lift", args=[row.pk]), whose))
    return tasks
