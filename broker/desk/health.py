"""The one page on how the log is: the log's own health, and what the comparison of bytes and log found last."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker import clock
from broker.accounts.models import Role
from broker.audit import health
from broker.audit.health import Trouble
from broker.desk.journal import permissions
from broker.errors import NotAllowed
from broker.releases.models import Reconciliation

RECONCILED_EVERY = timedelta(hours=26)  # nightly, and a little


@dataclass(frozen=True, slots=True)
class Report:
    log: health.Health
    reconciled: Reconciliation | None
    troubles: tuple[Trouble, ...]

    @property
    def is_well(self) -> bool:
        return not self.troubles

    @property
    def is_grave(self) -> bool:
        return any(trouble.is_grave for trouble in self.troubles)


def require_reading(user) -> None:
    """Auditors, the agency's officers, and those who operate, advise or audit a zone: no entry is shown here."""
    if user.holds(Role.AUDITOR) or user.holds(Role.REGISTRY_OFFICER) or permissions.zones_of(user):
        return
    raise NotAllowed(
        _("La santé du journal se lit comme auditeur, agent du registre, ou pour une zone que l'on tient. Tout le "
          "monde lit ses relevés signés sur sa page publique.")
    )  # fmt: skip


def look() -> Report:
    log, done = health.look(), Reconciliation.objects.order_by("-pk").first()
    troubles = [*log.troubles, *_reconciled(done)]
    return Report(log, done, tuple(sorted(troubles, key=lambda trouble: not trouble.is_grave)))


def _reconciled(done: Reconciliation | None) -> list[Trouble]:
    if done is None or clock.now() - done.ran_at > RECONCILED_EVERY:
        return [
            Trouble(
                "unreconciled",
                _("Les octets remis et le journal n'ont pas été rapprochés depuis un jour."),
                _("Cela se fait chaque nuit : voyez si terrain-jobs tourne, ou lancez « manage.py reconcile »."),
            )
        ]
    if not done.found:
        return []
    told = ngettext("%(n)s écart entre les octets remis et le journal",
                    "%(n)s écarts entre les octets remis et le journal", done.found)  # fmt: skip
    mend = _("Lisez-les à la page du rapprochement : chacun dit quoi faire.")
    return [Trouble("differences", told % {"n": done.found} + ".", mend, is_grave=True)]


def as_json(report: Report) -> dict[str, Any]:
    """For a monitoring program: figures, times in UTC, and the codes of what is wrong."""
    figures = asdict(report.log)
    del figures["troubles"], figures["duties"]
    return {
        **{name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in figures.items()},
        "duties": {
            name: {"size": duty.size, "done_at": duty.done_at and duty.done_at.isoformat(),
                   "failing_since": duty.failing_since and duty.failing_since.isoformat(), "problem": duty.problem}
            for name, duty in report.log.duties.items()
        },
        "reconciled_at": report.reconciled.ran_at.isoformat() if report.reconciled else None,
        "differences": report.reconciled.found if report.reconciled else None,
        "is_well": report.is_well,
        "is_grave": report.is_grave,
        "troubles": [asdict(trouble) for trouble in report.troubles],
    }  # fmt: skip
