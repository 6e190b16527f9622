"""The way of an organisation from its first visit to its first data, as steps done or not done."""

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.utils.translation import gettext as _

from broker.releases.models import Release
from consent.models import Application, Convention, RegistryEntry


@dataclass(slots=True)
class Step:
    label: str
    text: str
    route: str  # name of the page where it is done
    action: str
    done: bool
    current: bool = False


def of(user) -> list[Step]:
    """The steps of an experimenter's person; the first not done is the current one."""
    organisation = user.organisation
    entries = RegistryEntry.objects.filter(organisation=organisation) if organisation else RegistryEntry.objects.none()
    statuses = set(entries.values_list("status", flat=True))
    lodged = statuses - {RegistryEntry.Status.DRAFT}
    conventions = (
        set(Convention.objects.filter(organisation=organisation).values_list("status", flat=True))
        if organisation
        else set()
    )
    steps = [
        Step(
            _("Protéger votre compte par un second facteur"),
            _("Une application de codes sur votre téléphone. Elle vous sera demandée pour signer et pour recevoir."),
            "mfa_activate_totp",
            _("Activer le second facteur"),
            Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists(),
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
            organisation is not None and organisation.environments.exists(),
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
            organisation is not None
            and Application.objects.filter(organisation=organisation)
            .exclude(status__in=[Application.Status.DRAFT, Application.Status.WITHDRAWN])
            .exists(),
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
            organisation is not None
            and Release.objects.filter(convention__organisation=organisation, status=Release.Status.READY).exists(),
        ),
    ]
    for step in steps:
        if not step.done:
            step.current = True
            break
    return steps
