"""The actors of the permission matrix, in one world: a hospital zone, a start-up with its convention and a release.

Each has a browser (Django's test client) signed in through the same session facts as the real pages leave, second
factor included. `visitor` is signed in nowhere.
"""

import base64
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.test import Client

from broker import clock
from broker.accounts import grants, machines, second_factor
from broker.accounts.models import Invitation, MachineCredential, User
from broker.audit.actor import SYSTEM
from broker.epoch.models import KillSwitch
from tests import factories

ACTORS = (
    "visitor", "member", "representative", "named", "outsider", "operator", "steward", "dpo", "clerk", "auditor",
)  # fmt: skip


def signed_in(user: User, *, with_second_factor: bool = True) -> Client:
    """A browser of `user`, as after the sign-in pages."""
    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True, "verified": True})
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    if with_second_factor:
        if second_factor.authenticator_of(user) is None:
            second_factor.enrol(user, generate_totp_secret())
        session = browser.session
        session[second_factor.SESSION_KEY] = clock.now().isoformat()
        session.save()
    return browser


@dataclass
class World:
    """Users by actor, and the objects that fill the addresses of routes."""

    users: dict[str, User]
    objects: dict[str, Any] = field(default_factory=dict)

    def browser(self, actor: str) -> Client:
        return Client() if actor == "visitor" else signed_in(self.users[actor])


def ready_release(convention, person):
    """A release of the convention's only version, ready, as its row says; its file is not there."""
    from broker.keys.models import DataKey
    from broker.releases.models import Release
    from consent.models import GateDecision

    version = convention.offer.dataset.versions.get()
    decision = GateDecision.objects.create(
        action="release_create", actor_ref=person.audit_actor().ref, organisation=convention.organisation,
        convention=convention, object_ref=f"version:{version.pk}", effect="permit",
        ruleset_version="2026.11.0", ruleset_sha256="0" * 64, policy_epoch=0, case_sha256="0" * 64, event_id="0" * 26,
    )  # fmt: skip
    key = DataKey.objects.create(
        purpose="pseudonym", ref=f"convention:{convention.pk}", wrapping_key_id=uuid.uuid4().hex, wrapped=b"sealed"
    )
    recipe = {
        "personal": True, "k": 5, "columns": [{"name": "age", "type": "text", "role": "quasi_identifier", "treatment":
        {"kind": "band_age", "width": 5, "top": 90}}], "engine": {"duckdb": "2.0.0"},
        "output": {"format": "parquet", "sealed": True}, "dataset": {"slug": convention.offer.dataset.slug},
        "subject_key": "patient_nbr", "source_columns": ["patient_nbr", "age"], "identifiers": [], "reading": {},
        "quasi_identifiers": ["age"], "minors": {"rule": "exclude", "age_column": "age"}, "rank_by": None,
    }  # fmt: skip
    return Release.objects.create(
        convention=convention, dataset_version=version, decision=decision, key=key, clear_sha256="1" * 64,
        ruleset_version="2026.11.0", recipe=recipe, recipe_sha256="0" * 64, delivery_mode="environment",
        requested_by=person, status="ready", built_at=clock.now(), size=1, sha256="0" * 64, stored_as="absent",
        rows_in=10, rows_out=10, subjects_out=10, k_min=5, manifest={"certificate": "…"}, signature=b"s" * 64,
        enclosed=dict.fromkeys(("LICENCE.txt", "datapackage.json", "croissant.json"), "…"),
        dropped={"no_subject": 0, "opposed": 0, "minor": 0, "small_class": 0},
    )  # fmt: skip


def world() -> World:
    """A hospital zone with staff, one start-up with an active convention and a ready release, and a stranger."""
    from consent.models import ConsentImport

    zone = factories.zone()
    operator = factories.user("Claire Opératrice", organisation=zone.operator)
    steward = factories.user("Paul Chef de service", organisation=zone.operator)
    dpo = factories.user("Nadia Déléguée", organisation=zone.operator)
    for person, role in ((operator, "operate"), (steward, "steward"), (dpo, "advise")):
        grants.give(person, f"zones.{role}", zone, by=SYSTEM)
    service = factories.service(zone)
    dataset = factories.dataset(zone, in_service=service)
    offer = factories.offer(dataset)
    startup = factories.organisation(name="Glycéa")
    named = factories.user("Samir Habilité", organisation=startup)
    convention = factories.convention(offer, organisation_=startup, named=named)
    representative = convention.application.created_by
    agency = factories.organisation("agency", name="Agence")
    watch = factories.organisation("audit", name="Vigie")
    environment = convention.environment
    users = {
        "member": factories.user("Membre", organisation=startup),
        "representative": representative,
        "named": named,
        "outsider": factories.user("Étrangère", organisation=factories.organisation(name="Autre start-up")),
        "operator": operator,
        "steward": steward,
        "dpo": dpo,
        "clerk": factories.user("Agent", organisation=agency, role="registry_officer"),
        "auditor": factories.user("Auditrice", organisation=watch, role="auditor"),
    }
    credential = MachineCredential.objects.create(
        environment=environment, name="extraction", secret_sha256=machines.digest_of(f"inconnu {environment.pk}"),
        created_by=representative,
    )  # fmt: skip
    release = ready_release(convention, named)
    from broker.desk.models import SavedSearch
    from broker.keys.models import DataKey
    from broker.releases.models import Inquiry, Preview, WithdrawalOrder

    withdrawal = WithdrawalOrder.objects.create(convention=convention, pseudonyms=["ab" * 16], due_on=clock.today())
    inquiry = Inquiry.objects.create(
        zone=zone, kind="subject", status="answered", found={"releases": [str(release.pk)]}, asked_by=operator,
        answered_at=clock.now(),
    )  # fmt: skip
    preview = Preview.objects.create(
        convention=convention,
        dataset_version=release.dataset_version,
        recipe=release.recipe,
        asked_by=named,
        recipe_sha256=release.recipe_sha256,
    )
    signing_key = DataKey.objects.create(
        purpose="signing", ref=f"zone:{zone.pk}", wrapping_key_id=uuid.uuid4().hex, wrapped=b"sealed",
        public=base64.b64encode(bytes(32)).decode(),
    )  # fmt: skip
    objects = {
        "signing_key": signing_key, "withdrawal": withdrawal, "inquiry": inquiry, "preview": preview,
        "zone": zone, "service": service, "dataset": dataset, "version": dataset.versions.get(), "offer": offer,
        "convention": convention, "environment": environment, "startup": startup,
        "application": convention.application, "registry_entry": startup.registry_entries.get(),
        "credential": credential,
        "invitation": Invitation.objects.create(
            organisation=startup, email=users["outsider"].email, invited_by=representative
        ), "release": release,
        # A switch on a dataset of the zone that nothing else rests on.
        "switch": KillSwitch.objects.create(
            kind="dataset", ref=str(factories.dataset(zone).pk), reason="doute sur un capteur", set_by=operator
        ),
        "consent_import": ConsentImport.objects.create(
            dataset=dataset, receipt=f"I{dataset.pk}", file_name="consentements.csv", status="done", received_by=steward
        ),
        "saved_search": SavedSearch.objects.create(owner=users["auditor"], name="Les refus", asked={"out": "deny"}),
        "leaf": SimpleNamespace(index=0, form="csv"), "licence": factories.licence(startup, dataset, by=representative),
    }  # fmt: skip
    return World(users, objects)
