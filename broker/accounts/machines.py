"""Machine credentials and the one-use orders that they execute. A credential without an order does nothing."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import MachineCredential, MachineOrder, SecureEnvironment
from broker.audit.actions import describe, recorded
from broker.errors import NotAllowed, WrongState

SCHEME = "Terrain-Machine"
ORDER_LIFE = timedelta(hours=24)  # the database refuses a longer one (order_lives_a_day)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """256 random bits in 43 signs: too many to guess, so that a plain SHA-256 of it may be stored."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def credential_of(authorization_header: str) -> MachineCredential | None:
    """The credential that sent "Terrain-Machine <secret>", unless unknown or revoked."""
    scheme, _space, secret = (authorization_header or "").partition(" ")
    if scheme != SCHEME or not _SECRET.fullmatch(secret):
        return None
    return (
        MachineCredential.objects.filter(secret_sha256=digest_of(secret), revoked_at=None)
        .select_related("environment__organisation")
        .first()
    )


@recorded("order.give")
def give_order(
    *, by, environment: SecureEnvironment, action: str, object_ref: str, second_factor_at: datetime | None
) -> MachineOrder:
    """A named person tells `environment`'s machine to do `action` on `object_ref` once, within 24 h.

    The person's right to the object is judged by the gate when the order is used, and by the caller when given.
    """
    describe(
        obj=("machineorder", object_ref), org=environment.organisation,
        detail={"environment": environment.pk, "action": action},
    )  # fmt: skip
    if not by.belongs_to(environment.organisation):
        raise NotAllowed(_("Seule une personne de l'organisme qui a déclaré l'environnement peut lui donner un ordre."))
    if second_factor_at is None:
        raise NotAllowed(_("Donnez d'abord un code de votre application d'authentification, puis l'ordre."))
    if not environment.credentials.filter(revoked_at=None).exists():
        raise WrongState(
            _("Cet environnement n'a pas d'identifiant de machine : créez-en un sur sa page, puis donnez l'ordre.")
        )
    now = clock.now()
    return MachineOrder.objects.create(
        environment=environment, person=by, second_factor_at=second_factor_at, action=action, object_ref=object_ref,
        given_at=now, expires_at=now + ORDER_LIFE,
    )  # fmt: skip


def use_order(order: MachineOrder, credential: MachineCredential) -> MachineOrder:
    """Spend `order` for `credential`. Raises NotAllowed for another environment's, WrongState when used or expired."""
    return _use(order, by=credential)


@recorded("order.use")
def _use(order, *, by):
    row = MachineOrder.objects.select_for_update(of=("self",)).select_related("person", "environment").get(pk=order.pk)
    describe(
        obj=("machineorder", row.object_ref), on_behalf=by.environment.organisation.reference,
        detail={"order": str(row.pk), "action": row.action, "person": row.person.audit_actor().ref},
    )  # fmt: skip
    if by.revoked_at is not None or by.environment_id != row.environment_id:
        raise NotAllowed(_("Cet ordre est donné à un autre environnement : utilisez l'identifiant de celui-ci."))
    if row.used_at is not None:
        raise WrongState(_("Cet ordre a déjà servi : une personne habilitée doit en donner un autre."))
    now = clock.now()
    if now >= row.expires_at:
        raise WrongState(_("Cet ordre a expiré (24 h) : une personne habilitée doit en donner un autre."))
    row.used_at, row.used_by = now, by
    row.save(update_fields=["used_at", "used_by"])
    return row
