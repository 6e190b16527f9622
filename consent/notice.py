"""What the public notice of a convention says, from the facts of the convention itself (legal-gate, section 8)."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker.accounts.models import Organisation
from consent.words import BASES, CONDITIONS, purpose_label

REQUIRED = (
    "experimenter",
    "operator",
    "what",
    "columns",
    "purpose",
    "basis",
    "until",
    "place",
    "rights",
    "contact",
    "dpo",
)

LABELS = {
    "experimenter": gettext_lazy("Qui expérimente"),
    "operator": gettext_lazy("Qui l'a permis"),
    "holder": gettext_lazy("À qui sont ces données"),
    "what": gettext_lazy("Quelles données"),
    "who_is_inside": gettext_lazy("Qui y figure"),
    "purpose": gettext_lazy("Pourquoi"),
    "basis": gettext_lazy("Sur quelle base"),
    "until": gettext_lazy("Jusqu'au"),
    "place": gettext_lazy("Où elles sont traitées"),
    "rights": gettext_lazy("Vos droits"),
    "contact": gettext_lazy("À qui écrire"),
    "dpo": gettext_lazy("Délégué à la protection des données"),
}


def fields(convention, columns) -> dict[str, str]:
    """The fields that articles 13 and 14 of the RGPD require, each in plain words; empty when the fact is absent.

    `columns` are the convention's offer columns with their column; the convention comes with its organisation, zone,
    operator, offer, dataset, environment and application already loaded, so that nothing is asked of the database.
    """
    dataset, zone, application = convention.offer.dataset, convention.zone, convention.application
    basis = str(BASES.get(application.basis_article_6, application.basis_article_6))
    if basis and application.basis_article_9:
        basis += f" ; {CONDITIONS.get(application.basis_article_9, application.basis_article_9)}"
    environment = convention.environment
    return {
        "experimenter": _named(convention.organisation),
        "operator": _named(zone.operator),
        "holder": _named(dataset.holder) if dataset.holder_id != zone.operator_id else "",
        "what": dataset.title,
        "who_is_inside": _("les seules personnes qui ont consenti à cet usage") if dataset.consent_required else "",
        "columns": ", ".join(c.column.description or c.column.path for c in columns),
        "purpose": purpose_label(convention.purpose_code),
        "basis": basis,
        "until": f"{convention.ends_on:%d/%m/%Y}",
        "place": f"{environment.host} ({environment.country})" if environment.host else "",
        "rights": (
            _("accès, rectification, effacement, limitation, retrait du consentement à tout moment et sans motif")
            if dataset.consent_required
            else _("accès, rectification, effacement, limitation, opposition à tout moment et sans motif")
        ),
        "contact": zone.contact_email,
        "dpo": zone.dpo_email,
    }


def missing(convention, columns) -> tuple[str, ...]:
    """The required fields that are empty: a notice that lacks one is not complete (G20)."""
    said = fields(convention, columns)
    return tuple(name for name in REQUIRED if not said[name])


def _named(organisation: Organisation) -> str:
    return f"{organisation.name} (SIREN {organisation.siren})" if organisation.siren else organisation.name
