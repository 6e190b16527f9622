"""Who may, in the room of accounts. `require_*` raises NotAllowed with the mend; `may_*` answers for buttons."""

from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import Membership, Organisation, Role, SecureEnvironment
from broker.errors import NotAllowed


def may_create_organisation(user) -> bool:
    """A founder who belongs nowhere yet."""
    return user.is_authenticated and user.organisation is None


def require_creation(user) -> None:
    if not may_create_organisation(user):
        raise NotAllowed(
            _("Vous appartenez déjà à %(organisation)s : un compte sert un seul organisme.")
            % {"organisation": user.organisation}
        )


def may_lead(user, organisation: Organisation | None) -> bool:
    """Whether `user` is its legal representative today, their mandate still running."""
    if organisation is None or not user.is_authenticated:
        return False
    return any(_mandate_runs(m) for m in user.memberships.current().filter(organisation=organisation))


def _mandate_runs(membership: Membership) -> bool:
    return membership.role == Role.LEGAL_REPRESENTATIVE and (
        membership.mandate_until is None or membership.mandate_until >= clock.today()
    )


def require_lead(user, organisation: Organisation) -> None:
    if not may_lead(user, organisation):
        raise NotAllowed(
            _("Seul un représentant légal de %(organisation)s, au mandat en cours, peut le faire : demandez-le-lui.")
            % {"organisation": organisation}
        )


def may_declare_environment(user, organisation: Organisation | None) -> bool:
    """Any member of an experimenter describes where its data will be processed; its representative attests it."""
    return (
        organisation is not None
        and user.is_authenticated
        and user.belongs_to(organisation)
        and organisation.kind == Organisation.Kind.EXPERIMENTER
    )


def require_declaration(user, organisation: Organisation | None) -> None:
    if organisation is None:
        raise NotAllowed(_("Créez d'abord votre organisme, puis déclarez où ses données seront traitées."))
    if not may_declare_environment(user, organisation):
        raise NotAllowed(_("Seul un membre d'un expérimentateur déclare un environnement de traitement."))


def may_hold_credentials(user, environment: SecureEnvironment) -> bool:
    """Members of the organisation make and revoke its machines' credentials: they do nothing without an order."""
    return user.is_authenticated and user.belongs_to(environment.organisation)


def require_credentials(user, environment: SecureEnvironment) -> None:
    if not may_hold_credentials(user, environment):
        raise NotAllowed(_("Seul un membre de l'organisme qui a déclaré cet environnement gère ses identifiants."))
