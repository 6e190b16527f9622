"""What the public notice of a convention says, from the facts of the convention itself (legal-gate, section 8)."""

from django.utils.translation import gettext as _

from broker.accounts.models import Organisation

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

# Purposes in words that an inhabitant understands; a code that is not here is shown as it stands.
PURPOSES = {
    "diagnosis_support_rnd": "mettre au point une aide au diagnostic",
    "care_organisation_rnd": "mieux organiser les soins",
    "traffic_rnd": "étudier et prévoir la circulation",
    "driving_rnd": "mettre au point un véhicule autonome",
}
BASES = {
    "consent": "l'accord de chaque personne (RGPD, art. 6(1)(a))",
    "contract": "un contrat (RGPD, art. 6(1)(b))",
    "legal_obligation": "une obligation légale (RGPD, art. 6(1)(c))",
    "vital_interests": "les intérêts vitaux (RGPD, art. 6(1)(d))",
    "public_task": "une mission d'intérêt public (RGPD, art. 6(1)(e))",
    "legitimate_interests": "l'intérêt légitime (RGPD, art. 6(1)(f))",
}


def fields(convention, columns) -> dict[str, str]:
    """The fields that articles 13 and 14 of the RGPD require, each in plain words; empty when the fact is absent.

    `columns` are the convention's offer columns with their column; the convention comes with its organisation, zone,
    operator, offer, dataset, environment and application already loaded, so that nothing is asked of the database.
    """
    dataset, zone, application = convention.offer.dataset, convention.zone, convention.application
    basis = BASES.get(application.basis_article_6, application.basis_article_6)
    if basis and application.basis_article_9:
        basis += f" ; RGPD, art. {application.basis_article_9}"
    environment = convention.environment
    return {
        "experimenter": _named(convention.organisation),
        "operator": _named(zone.operator),
        "what": dataset.title,
        "columns": ", ".join(c.column.description or c.column.name for c in columns),
        "purpose": PURPOSES.get(convention.purpose_code, convention.purpose_code),
        "basis": basis,
        "until": f"{convention.ends_on:%d/%m/%Y}",
        "place": f"{environment.host} ({environment.country})" if environment.host else "",
        "rights": _("accès, rectification, effacement, limitation, opposition à tout moment et sans motif"),
        "contact": zone.contact_email,
        "dpo": zone.dpo_email,
    }


def missing(convention, columns) -> tuple[str, ...]:
    """The required fields that are empty: a notice that lacks one is not complete (G20)."""
    said = fields(convention, columns)
    return tuple(name for name in REQUIRED if not said[name])


def _named(organisation: Organisation) -> str:
    return f"{organisation.name} (SIREN {organisation.siren})" if organisation.siren else organisation.name
