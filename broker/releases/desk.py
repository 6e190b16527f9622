"""What waits for a named person: data to ask for, releases that are being made, ready or failed."""

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker import clock
from broker.accounts import grants
from broker.accounts.desk import Task
from broker.accounts.models import Role
from broker.releases.models import Delivery, Reconciliation, Release, WithdrawalOrder
from consent.models import Convention, NamedPerson

LIMIT = 50  # tasks of one kind


def waiting_for(user) -> list[Task]:
    return [*_differences(user), *_withdrawals(user), *_conventions_without_data(user), *_releases(user)]


def _differences(user) -> list[Task]:
    """What the last comparison of bytes and log found: the auditors' alarm."""
    if not user.holds(Role.AUDITOR):
        return []
    done = Reconciliation.objects.order_by("-pk").first()
    if done is None or not done.found:
        return []
    title = ngettext(
        "%(n)s écart entre les octets remis et le journal", "%(n)s écarts entre les octets remis et le journal",
        done.found,
    )  # fmt: skip
    return [Task(title % {"n": done.found}, done.ran_at, reverse("reconciliation"))]


def _withdrawals(user) -> list[Task]:
    """Orders to carry out: the recipient's own turn; the operator sees those that are late."""
    orders = WithdrawalOrder.objects.filter(attested_at=None).select_related("convention__organisation")
    mine = orders.filter(convention__organisation__in=user.organisation_ids)
    zones = grants.held(user, "zones.operate")
    late = orders.filter(convention__zone__in=zones, due_on__lt=clock.today())
    return [
        *(
            Task(
                _("Retirer une personne de vos copies (%(ref)s), au plus tard le %(day)s")
                % {"ref": order.convention.ref, "day": order.due_on.strftime("%d/%m/%Y")},
                order.issued_at,
                reverse("withdrawal-detail", args=[order.pk]),
            )
            for order in (mine.order_by("due_on", "pk")[:LIMIT] if user.organisation_ids else ())
        ),
        *(
            Task(
                _("Retrait en retard depuis le %(day)s : %(name)s (%(ref)s)")
                % {
                    "day": order.due_on.strftime("%d/%m/%Y"),
                    "name": order.convention.organisation,
                    "ref": order.convention.ref,
                },
                order.issued_at,
                reverse("withdrawal-detail", args=[order.pk]),
                turn=str(order.convention.organisation),
            )
            for order in (late.order_by("due_on", "pk")[:LIMIT] if zones else ())
        ),
    ]


def _conventions_without_data(user) -> list[Task]:
    today = clock.today()
    allowed = NamedPerson.objects.filter(
        Q(until_day=None) | Q(until_day__gte=today), user=user, from_day__lte=today, confirmed_at__isnull=False
    )
    conventions = (
        Convention.objects.filter(
            ~Exists(Release.objects.filter(convention=OuterRef("pk"))),
            pk__in=allowed.values("convention"), status=Convention.Status.ACTIVE,
            starts_on__lte=today, ends_on__gte=today,
        )
        .select_related("offer__dataset")
        .order_by("activated_at")[:LIMIT]
    )  # fmt: skip
    return [
        Task(
            _("Demander les données de « %(dataset)s » (%(ref)s)")
            % {"dataset": convention.offer.dataset.title, "ref": convention.ref},
            convention.activated_at,
            reverse("release-create", args=[convention.ref]),
        )
        for convention in conventions
    ]


def _releases(user) -> list[Task]:
    states = Release.Status
    rows = (
        Release.objects.filter(requested_by=user, status__in=[states.QUEUED, states.BUILDING, states.READY])
        .annotate(taken=Exists(Delivery.objects.filter(release=OuterRef("pk"), outcome="complete")))
        .filter(Q(taken=False))
        .select_related("dataset_version__dataset")
        .order_by("requested_at")[:LIMIT]
    )
    tasks = []
    for release in rows:
        title = release.dataset_version.dataset.title
        link = reverse("release-detail", args=[release.pk])
        if release.status == states.READY:
            tasks.append(Task(_("Récupérer la remise de « %s »") % title, release.built_at, link))
        else:
            tasks.append(
                Task(_("La remise de « %s » se prépare") % title, release.requested_at, link, turn=_("Terrain"))
            )
    return tasks
