"""Persons. Nobody is a superuser; an e-mail address is the name they sign in with."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q

from broker import clock
from broker.audit.actor import Actor


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **facts):
        user = self.model(email=self.normalize_email(email), **facts)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField("adresse électronique", unique=True)
    full_name = models.CharField("nom", max_length=150)
    is_active = models.BooleanField("actif", default=True)
    joined_at = models.DateTimeField(default=clock.now, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["full_name"]
    objects = UserManager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(is_superuser=False), name="user_is_no_superuser")]

    def __str__(self):
        return self.full_name or self.email

    def get_full_name(self):
        return self.full_name

    def audit_actor(self) -> Actor:
        """How the log sees this person; `auth` is set by the middleware from their session."""
        kind = "auditor" if self.holds(Role.AUDITOR) else "person"
        organisation = self.organisation
        return Actor(
            f"user:{self.pk}", kind, getattr(self, "authenticated_by", ""),
            organisation.reference if organisation else "",
        )  # fmt: skip

    def _memberships(self):
        """This person's current memberships, read once for the life of the instance."""
        if not hasattr(self, "_current_memberships"):
            self._current_memberships = self.memberships.model.current_of(self)
        return self._current_memberships

    def forget_memberships(self) -> None:
        """Read the memberships anew at the next question: a verb has just changed them."""
        self.__dict__.pop("_current_memberships", None)

    @property
    def organisation(self):
        """The first organisation this person belongs to today, or None."""
        held = self._memberships()
        return held[0].organisation if held else None

    @property
    def organisations(self) -> list:
        """The organisations this person belongs to today."""
        return [m.organisation for m in self._memberships()]

    @property
    def organisation_ids(self) -> list[int]:
        """The organisations this person belongs to today, for a query."""
        return sorted({m.organisation_id for m in self._memberships()})

    @property
    def represented_ids(self) -> list[int]:
        """The organisations whose legal representative this person is today."""
        return sorted({m.organisation_id for m in self._memberships() if m.role == Role.LEGAL_REPRESENTATIVE})

    def holds(self, role: str, organisation=None) -> bool:
        """Whether this person holds `role` today, in `organisation` when it is given."""
        return any(
            m.role == role and (organisation is None or m.organisation_id == organisation.pk)
            for m in self._memberships()
        )

    def belongs_to(self, organisation) -> bool:
        return any(m.organisation_id == organisation.pk for m in self._memberships())


class Role:
    """Short names of the membership roles, to be read beside `User.holds`."""

    MEMBER = "member"
    LEGAL_REPRESENTATIVE = "legal_representative"
    REGISTRY_OFFICER = "registry_officer"
    AUDITOR = "auditor"
