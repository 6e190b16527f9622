"""Organisations of every side, and who belongs to them."""

from functools import cache

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from broker import clock


class Organisation(models.Model):
    """A body with a legal personality: operator, data holder, experimenter, registry agency, auditor."""

    class Kind(models.TextChoices):
        OPERATOR = "operator", _("opérateur de zone")
        HOLDER = "holder", _("détenteur de données")
        EXPERIMENTER = "experimenter", _("expérimentateur")
        AGENCY = "agency", _("agence du registre")
        AUDIT = "audit", _("auditeur")
        PLATFORM = "platform", _("plateforme")

    name = models.CharField("nom", max_length=200)
    kind = models.CharField("nature", max_length=20, choices=Kind.choices)
    siren = models.CharField("SIREN", max_length=9, unique=True, null=True, blank=True)
    siret = models.CharField("SIRET du siège", max_length=14, blank=True)
    legal_form = models.CharField("forme juridique", max_length=80, blank=True)
    is_public_body = models.BooleanField("organisme public", default=False)
    contact_email = models.EmailField("contact", blank=True)
    dpo_email = models.EmailField("contact du DPO", blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self):
        return self.name

    @property
    def reference(self) -> str:
        """How the log names this organisation."""
        return f"org:{self.siren or self.pk}"


class InvitationQuerySet(models.QuerySet):
    def open(self):
        return self.filter(answered_at=None)

    def for_user(self, user):
        """The open ones sent to the address of `user`'s account."""
        return self.open().filter(email=user.email.lower())


class Invitation(models.Model):
    """A representative asks an address to join; whoever holds the account there answers. Nobody is made a member of
    what they did not choose, and an invitation tells nobody whether an account exists."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="invitations")
    email = models.EmailField("adresse électronique")
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    invited_at = models.DateTimeField(default=clock.now, editable=False)
    answered_at = models.DateTimeField(null=True, blank=True)
    is_accepted = models.BooleanField(default=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-invited_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "email"], condition=Q(answered_at=None), name="invitation_open_once"
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_is_lower"),
            models.CheckConstraint(
                condition=Q(is_accepted=False) | Q(answered_at__isnull=False), name="invitation_accepted_is_answered"
            ),
        ]


class MembershipQuerySet(models.QuerySet):
    def current(self):
        today = clock.today()
        return self.filter(joined_on__lte=today).filter(Q(left_on=None) | Q(left_on__gte=today))


class Membership(models.Model):
    """A person's place in an organisation; a legal representative's mandate has its text and its end."""

    class Role(models.TextChoices):
        MEMBER = "member", _("membre")
        LEGAL_REPRESENTATIVE = "legal_representative", _("représentant légal")
        REGISTRY_OFFICER = "registry_officer", _("agent du registre")
        AUDITOR = "auditor", _("auditeur")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    role = models.CharField("rôle", max_length=30, choices=Role.choices)
    mandate = models.CharField("mandat", max_length=300, blank=True)
    mandate_until = models.DateField("fin du mandat", null=True, blank=True)
    joined_on = models.DateField(default=clock.today)
    left_on = models.DateField(null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "organisation", "role"], name="membership_once"),
            models.CheckConstraint(
                condition=~Q(role="legal_representative") | ~Q(mandate=""),
                name="membership_mandate_is_written",
            ),
        ]

    def __str__(self):
        return f"{self.user} · {self.organisation} · {self.get_role_display()}"

    @classmethod
    def current_of(cls, user) -> list["Membership"]:
        """The current memberships of `user` with their organisations. Every page asks: the statement is written once,
        which costs a fifth of composing it each time."""
        mine, bodies = _columns(cls), _columns(Organisation)
        today = clock.today()
        with connection.cursor() as cursor:
            cursor.execute(_current_statement(), [user.pk, today, today])
            rows = cursor.fetchall()
        found = []
        for row in rows:
            membership = cls.from_db(connection.alias, mine, row[: len(mine)])
            membership.user = user
            membership.organisation = Organisation.from_db(connection.alias, bodies, row[len(mine) :])
            found.append(membership)
        return found


@cache
def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _current_statement() -> str:
    """Parameters: the person, today, today."""
    named = [f"m.{name}" for name in _columns(Membership)] + [f"o.{name}" for name in _columns(Organisation)]
    return (
        f"SELECT {', '.join(named)} FROM accounts_membership m "
        "JOIN accounts_organisation o ON o.id = m.organisation_id "
        "WHERE m.user_id = %s AND m.joined_on <= %s AND (m.left_on IS NULL OR m.left_on >= %s) ORDER BY m.id"
    )
