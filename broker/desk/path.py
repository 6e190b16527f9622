"""The way of an organisation from its first visit to its first data, as steps done or not done."""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from consent.models import Convention, RegistryEntry


@dataclass(slots=True)
class Step:
    label: str
    text: str
    route: str  # name of the page where it is done
    action: str
    done: bool
    current: bool = False


# What the steps ask, in one statement. Without an organisation every comparison with NULL finds nothing.
FACTS = """
SELECT ARRAY(SELECT DISTINCT status FROM consent_registryentry WHERE organisation_id = %(organisation)s) AS entries,
       ARRAY(SELECT DISTINCT status FROM consent_convention WHERE organisation_id = %(organisation)s) AS conventions,
       EXISTS(SELECT FROM mfa_authenticator WHERE user_id = %(user)s AND type = 'totp') AS second_factor,
       EXISTS(SELECT FROM accounts_secureenvironment WHERE organisation_id = %(organisation)s) AS environment,
       EXISTS(SELECT FROM consent_application WHERE organisation_id = %(organisation)s
              AND status NOT IN ('draft', 'withdrawn')) AS application,
       EXISTS(SELECT FROM releases_release r JOIN consent_convention c ON c.id = r.convention_id
              WHERE c.organisation_id = %(organisation)s AND r.status = 'ready') AS release
"""


def _facts(user, organisation) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(FACTS, {"user": user.pk, "organisation": organisation.pk if organisation else None})
        return dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))


def of(user) -> list[Step]:
    """The steps of an experimenter's person; the first not done is the current one."""
    organisation = user.organisation
    facts = _facts(user, organisation)
    statuses, conventions = set(facts["entries"]), set(facts["conventions"])
    lodged = statuses - {RegistryEntry.Status.DRAFT}
    steps = [
        Step(
            _("Protéger votre compte par un second facteur"),
            _("Une application de codes sur votre téléphone. Elle vous sera demandée pour signer et pour recevoir."),
            "mfa_activate_totp",
            _("Activer le second facteur"),
            facts["second_factor"],
        ),
        Step(
            _("Inscrire votre organisation"),
            _("Son numéro SIREN suffit ; vous y ajouterez vos collègues."),
            "organisation-create",
            _("Inscrire l’organisation"),
            organisation is not None,
        ),
        Step(
            _("Demander l’entrée au registre"),
            _("Des contrôles automatiques répondent aussitôt ; deux agents de l’agence décident."),
            "registry-request",
            _("Préparer la demande"),
            bool(lodged),
        ),
        Step(
            _("Déclarer l’environnement qui recevra les données"),
            _("Son hébergeur, ses réseaux et sa clé publique : les fichiers seront chiffrés pour lui seul."),
            "environment-create",
            _("Déclarer un environnement"),
            facts["environment"],
        ),
        Step(
            _("Recevoir l’agrément"),
            _("L’agence du registre instruit votre demande ; vous serez prévenu ici."),
            "registry-list",
            _("Voir le registre"),
            RegistryEntry.Status.ACCREDITED in statuses,
        ),
        Step(
            _("Choisir un jeu de données et demander une convention"),
            _("La simulation dit d’avance tout ce qui s’opposerait."),
            "catalogue",
            _("Ouvrir le catalogue"),
            facts["application"],
        ),
        Step(
            _("Signer la convention"),
            _("Le représentant légal signe en ligne ; l’empreinte du document signé est inscrite au journal."),
            "convention-list",
            _("Voir les conventions"),
            bool(conventions - {Convention.Status.SIGNING, Convention.Status.WITHDRAWN}),
        ),
        Step(
            _("Recevoir la première remise"),
            _("Une personne habilitée la demande ; elle se prépare en quelques secondes."),
            "convention-list",
            _("Voir les conventions"),
            facts["release"],
        ),
    ]
    for step in steps:
        if not step.done:
            step.current = True
            break
    return steps
