"""The writes of a delivery: begun before its first byte, ended with the bytes that left."""

from django.utils.translation import gettext as _

from broker.accounts.models import MachineOrder
from broker.audit.actions import describe, recorded
from broker.errors import WrongState
from broker.releases.models import Delivery, Release
from consent.models import GateDecision


def may_resume(earlier, first_byte: int) -> bool:
    """Whether the `earlier` deliveries, of one order or of one person, stopped before the end, at or after
    `first_byte`."""
    if first_byte == 0:
        return False
    begun = list(earlier)
    reached = max((one.first_byte + one.bytes_sent for one in begun), default=0)
    return bool(begun) and all(one.outcome != "complete" for one in begun) and first_byte <= reached


def require_same_recipient(release: Release, *, by) -> None:
    """Raises WrongState when the environment's key is no longer the one that the release is sealed to."""
    sealed_to = release.manifest.get("sealed_to")
    if sealed_to and sealed_to != [release.convention.environment.age_recipient]:
        _refuse_former_recipient(release, by=by)


@recorded("data.download")
def _refuse_former_recipient(release: Release, *, by) -> None:
    _describe(release, None, sealed_to=release.manifest["sealed_to"])
    raise WrongState(
        _("La clé de « %(name)s » a changé depuis la préparation : ce fichier est scellé à l'ancienne, que "
          "l'environnement n'a peut-être plus. Demandez une nouvelle remise : elle sera scellée à la clé "
          "d'aujourd'hui.")
        % {"name": release.convention.environment.name}
    )  # fmt: skip


@recorded("data.download")
def begin(release: Release, *, by, permit, order=None, first_byte: int = 0) -> Delivery:
    """The row without which the store opens nothing."""
    decision = GateDecision.objects.get(pk=permit.decision_id)
    _describe(release, order, decision=str(decision.pk), first_byte=first_byte, order=str(order.pk) if order else "")
    return Delivery.objects.create(
        release=release, decision=decision, decision_effect=decision.effect, order=order, first_byte=first_byte
    )


@recorded("data.download_end")
def end(delivery: Delivery, *, by, bytes_sent: int, outcome: str, at) -> None:
    """How many bytes were handed to the connection, and why it stopped: complete, interrupted or cut."""
    Delivery.objects.filter(pk=delivery.pk, ended_at=None).update(bytes_sent=bytes_sent, outcome=outcome, ended_at=at)
    _describe(
        delivery.release, delivery.order, decision=str(delivery.decision_id), bytes_sent=bytes_sent, outcome=outcome
    )


def _describe(release: Release, executed: MachineOrder | None, **detail) -> None:
    convention = release.convention
    describe(
        obj=release, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp="experimentation", on_behalf=executed.person.audit_actor().ref if executed else "", detail=detail,
    )  # fmt: skip
