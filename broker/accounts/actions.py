"""The writes of accounts: organisations, their members, their environments, the credentials of machines, demo time."""

import ipaddress
from datetime import date

import pyrage
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _
from stdnum.exceptions import ValidationError as NumberError
from stdnum.fr import siren as siren_number

from broker import clock
from broker.accounts import machines, permissions
from broker.accounts.models import (
    Invitation,
    MachineCredential,
    Membership,
    Organisation,
    Role,
    SecureEnvironment,
)
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, WrongState

MAX_STEP_DAYS = 400  # a year and its notice: enough for the longest convention of the demo


def checked_siren(text: str) -> str:
    """The nine digits of a SIREN whose Luhn check holds. Raises BadInput with the mend."""
    try:
        return siren_number.validate(text)
    except NumberError as error:
        raise BadInput(
            _("Ce numéro SIREN n'est pas valable : recopiez les neuf chiffres de votre extrait Kbis ou avis Insee.")
        ) from error


def checked_networks(lines: list[str]) -> list[str]:
    """Networks in their canonical form, in the order given. Raises BadInput naming the line and its mend."""
    networks = []
    for line in lines:
        try:
            network = ipaddress.ip_network(line, strict=True)
        except ValueError as error:
            raise BadInput(_("« %(line)s » : %(mend)s") % {"line": line, "mend": _network_mend(line)}) from error
        if network.prefixlen < (8 if network.version == 4 else 32):
            raise BadInput(
                _("« %(line)s » couvre trop d'adresses : déclarez vos propres réseaux (/8 au plus large).")
                % {"line": line}
            )
        if str(network) not in networks:
            networks.append(str(network))
    if not networks:
        raise BadInput(_("Déclarez au moins un réseau d'où viendront les téléchargements, par exemple 203.0.113.0/24."))
    return networks


def _network_mend(line: str) -> str:
    try:
        wider = ipaddress.ip_network(line, strict=False)
    except ValueError:
        return _("ce n'est pas un réseau ; écrivez par exemple 203.0.113.0/24 ou 2001:db8::/48.")
    return _("l'adresse n'est pas le début du réseau ; écrivez %(network)s.") % {"network": wider}


def checked_recipient(text: str) -> str:
    """An age X25519 public key. Raises BadInput; a secret key pasted by mistake is named as such and goes nowhere."""
    text = text.strip()
    if text.upper().startswith("AGE-SECRET-KEY-"):
        raise BadInput(
            _(
                "C'est une clé secrète : gardez-la, considérez-la comme divulguée si vous l'avez envoyée ailleurs, et "
                "collez ici la clé publique, qui commence par « age1 » (age-keygen -y la redonne)."
            )
        )
    if text.startswith(("ssh-", "ecdsa-", "sk-", "-----BEGIN")):
        raise BadInput(
            _(
                "C'est une clé SSH : les remises sont scellées à une clé age. Faites-en une avec age-keygen -o cle.txt,"
                " puis collez ici la ligne qui commence par « age1 »."
            )
        )
    try:
        return str(pyrage.x25519.Recipient.from_str(text))
    except pyrage.RecipientError as error:
        raise BadInput(
            _("Ce n'est pas une clé publique age : elle commence par « age1 » ; age-keygen -o cle.txt en fait une.")
        ) from error


@recorded("organisation.create")
def create_organisation(*, by, name: str, siren: str, legal_form: str, mandate: str, contact_email: str = "",
                        dpo_email: str = "") -> Organisation:  # fmt: skip
    """A founder's own organisation: they become its member and its legal representative under the stated mandate.

    Whether the company exists and is theirs is checked later, by the registry; here the SIREN is new and well formed.
    """
    describe(detail={"name": name})
    permissions.require_creation(by)
    siren = checked_siren(siren)
    if not mandate.strip():
        raise BadInput(_("Dites d'où vous tenez le pouvoir de signer : statuts, délibération, décision."))
    try:
        with transaction.atomic():
            organisation = Organisation.objects.create(
                name=name, kind=Organisation.Kind.EXPERIMENTER, siren=siren, legal_form=legal_form,
                contact_email=contact_email or by.email, dpo_email=dpo_email,
            )  # fmt: skip
    except IntegrityError as error:
        if "siren" not in str(error):
            raise
        raise WrongState(
            _(
                "Un organisme porte déjà le SIREN %(siren)s : demandez à son représentant légal d'inviter "
                "l'adresse %(email)s."
            )
            % {"siren": siren, "email": by.email}
        ) from error
    for role, text in ((Role.MEMBER, ""), (Role.LEGAL_REPRESENTATIVE, mandate)):
        Membership.objects.create(user=by, organisation=organisation, role=role, mandate=text)
    by.forget_memberships()
    describe(obj=organisation, org=organisation)
    return organisation


@recorded("membership.invite")
def invite(organisation: Organisation, *, by, email: str) -> Invitation:
    """Ask whoever holds the account at `email` to join. The answer is the same whether there is one or not."""
    describe(obj=organisation, org=organisation)
    permissions.require_lead(by, organisation)
    email = email.strip().lower()
    if Membership.objects.current().filter(organisation=organisation, user__email__iexact=email).exists():
        raise WrongState(_("%(email)s est déjà membre.") % {"email": email})
    try:
        with transaction.atomic():
            return Invitation.objects.create(organisation=organisation, email=email, invited_by=by)
    except IntegrityError as error:
        if "invitation_open_once" not in str(error):
            raise
        raise WrongState(_("%(email)s est déjà invité et n'a pas encore répondu.") % {"email": email}) from error


def _to_answer(invitation: Invitation, by) -> Invitation:
    """The locked invitation, still open and sent to the verified address of `by`."""
    row = Invitation.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=invitation.pk)
    describe(obj=row.organisation, org=row.organisation)
    if row.email != by.email.lower():
        raise NotAllowed(_("Cette invitation est pour une autre adresse."))
    if row.answered_at is not None:
        raise WrongState(_("Cette invitation a déjà reçu sa réponse."))
    return row


@recorded("membership.add")
def accept(invitation: Invitation, *, by) -> Membership:
    """The invited person becomes a member, from today."""
    row = _to_answer(invitation, by)
    if by.organisation is not None:
        raise NotAllowed(
            _("Vous appartenez déjà à %(organisation)s : un compte sert un seul organisme.")
            % {"organisation": by.organisation}
        )
    row.answered_at, row.is_accepted = clock.now(), True
    row.save(update_fields=["answered_at", "is_accepted"])
    member, _is_new = Membership.objects.update_or_create(
        user=by,
        organisation=row.organisation,
        role=Role.MEMBER,
        defaults={"joined_on": clock.today(), "left_on": None},
    )
    by.forget_memberships()
    return member


@recorded("membership.decline")
def decline(invitation: Invitation, *, by) -> Invitation:
    row = _to_answer(invitation, by)
    row.answered_at = clock.now()
    row.save(update_fields=["answered_at"])
    return row


@recorded("environment.declare")
def declare_environment(*, by, name: str, klass: str, host: str, country: str, networks: list[str], age_recipient: str,
                        hds_certificate_until: date | None = None, access_countries: list[str] | None = None,
                        host_contract: str = "") -> SecureEnvironment:  # fmt: skip
    """A member says where the organisation will process data, and to which key its files are sealed."""
    organisation = by.organisation
    describe(org=organisation, detail={"name": name, "country": country})
    permissions.require_declaration(by, organisation)
    try:
        with transaction.atomic():
            made = SecureEnvironment.objects.create(
                organisation=organisation, name=name, klass=klass, host=host, country=country,
                networks=checked_networks(networks), age_recipient=checked_recipient(age_recipient),
                hds_certificate_until=hds_certificate_until, access_countries=access_countries or [],
                host_contract=host_contract,
            )  # fmt: skip
    except IntegrityError as error:
        if "environment_name_once" not in str(error):
            raise
        raise BadInput(_("Un environnement porte déjà ce nom : donnez-en un autre.")) from error
    describe(obj=made)
    return made


@recorded("environment.attest")
def attest_environment(environment: SecureEnvironment, *, by, attestation: str) -> SecureEnvironment:
    """The legal representative answers for the declaration; the day counts for the rules on fresh attestations."""
    row = (
        SecureEnvironment.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=environment.pk)
    )
    describe(obj=row, org=row.organisation, detail={"attestation": attestation})
    permissions.require_lead(by, row.organisation)
    if not attestation.strip():
        raise BadInput(_("Écrivez ce que vous attestez."))
    row.attestation, row.attested_on, row.attested_by = attestation, clock.today(), by
    row.save(update_fields=["attestation", "attested_on", "attested_by"])
    return row


@recorded("environment.credential")
def create_credential(environment: SecureEnvironment, *, by, name: str) -> tuple[MachineCredential, str]:
    """A credential and its secret, which is shown once: the database keeps its SHA-256 only."""
    describe(obj=environment, org=environment.organisation, detail={"name": name})
    permissions.require_credentials(by, environment)
    secret = machines.new_secret()
    made = MachineCredential.objects.create(
        environment=environment, name=name, secret_sha256=machines.digest_of(secret), created_by=by
    )
    return made, secret


@recorded("environment.revoke")
def revoke_credential(credential: MachineCredential, *, by) -> MachineCredential:
    """The credential does nothing from now on; its orders stay unspent."""
    row = MachineCredential.objects.select_for_update(of=("self",)).get(pk=credential.pk)
    describe(obj=row.environment, org=row.environment.organisation, detail={"credential": row.pk})
    permissions.require_credentials(by, row.environment)
    if row.revoked_at is not None:
        raise WrongState(_("Cet identifiant est déjà révoqué."))
    row.revoked_at = clock.now()
    row.save(update_fields=["revoked_at"])
    return row


@recorded("clock.advance")
def advance_clock(*, by, days: int, hours: int) -> int:
    """Move the demo's clock forward; return the seconds. It never goes back, and exists nowhere but in the demo."""
    describe(detail={"days": days, "hours": hours})
    if not settings.DEMO:
        raise NotAllowed(_("L'horloge ne se déplace que dans la démonstration."))
    seconds = days * 86_400 + hours * 3_600
    if days < 0 or hours < 0 or not 0 < seconds <= MAX_STEP_DAYS * 86_400:
        raise BadInput(
            _("L'horloge n'avance que vers demain, de %(most)s jours au plus en une fois.") % {"most": MAX_STEP_DAYS}
        )
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO clock_step (seconds) VALUES (%s)", [seconds])
    return seconds
