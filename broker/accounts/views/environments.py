"""Declaring where data will be processed, attesting it, and the credentials of its machines."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from broker.accounts import actions, permissions
from broker.accounts.forms import ATTESTATION, AttestationForm, CredentialForm, EnvironmentForm
from broker.accounts.models import MachineCredential, SecureEnvironment

SHOWN = 50  # credentials on a page, the newest; an environment has a handful


def create(request):
    organisation = request.user.organisation
    permissions.require_declaration(request.user, organisation)
    form = EnvironmentForm(request.POST or None, may_attest=permissions.may_lead(request.user, organisation))
    if form.is_valid():
        facts = dict(form.cleaned_data)
        attested = facts.pop("attest", False)
        environment = actions.declare_environment(by=request.user, **facts)
        if attested:
            actions.attest_environment(environment, by=request.user, attestation=str(ATTESTATION))
        messages.success(request, _("%(name)s est déclaré.") % {"name": environment})
        return redirect("environment-detail", environment.pk)
    return render(request, "accounts/environment_create.html", {"form": form}, status=422 if form.is_bound else 200)


def detail(request, pk):
    return _page(request, _found(request, pk))


@require_POST
def attest(request, pk):
    environment = _found(request, pk)
    permissions.require_lead(request.user, environment.organisation)
    form = AttestationForm(request.POST)
    if not form.is_valid():
        return _page(request, environment, attest_form=form, status=422)
    actions.attest_environment(environment, by=request.user, attestation=str(ATTESTATION))
    messages.success(request, _("%(name)s est attesté.") % {"name": environment})
    return redirect("environment-detail", pk)


@require_POST
def create_credential(request, pk):
    """Answers the page itself, the secret on it, and no redirect: the secret is shown once and kept nowhere."""
    environment = _found(request, pk)
    form = CredentialForm(request.POST)
    if not form.is_valid():
        return _page(request, environment, credential_form=form, status=422)
    credential, secret = actions.create_credential(environment, by=request.user, **form.cleaned_data)
    response = _page(request, environment, credential=credential, secret=secret)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def revoke_credential(request, pk, credential):
    found = get_object_or_404(MachineCredential, pk=credential, environment=_found(request, pk))
    actions.revoke_credential(found, by=request.user)
    messages.success(request, _("%(name)s est révoqué : il ne fera plus rien.") % {"name": found})
    return redirect("environment-detail", pk)


def _found(request, pk) -> SecureEnvironment:
    return get_object_or_404(SecureEnvironment.objects.for_user(request.user).select_related("organisation"), pk=pk)


def _page(request, environment, *, status=200, **facts):
    may_attest = permissions.may_lead(request.user, environment.organisation)
    return render(
        request,
        "accounts/environment_detail.html",
        {
            "environment": environment,
            "facts": [
                (_("Classe"), environment.get_klass_display()),
                (_("Hébergeur"), environment.host),
                (_("Pays"), environment.country),
                (_("Réseaux"), ", ".join(environment.networks)),
                (_("Clé publique age"), environment.age_recipient),
                (_("Certificat HDS valable jusqu'au"), environment.hds_certificate_until or "—"),
                (_("Attesté le"), environment.attested_on or "—"),
            ],
            "credentials": environment.credentials.select_related("created_by")[:SHOWN],
            "attest_form": AttestationForm() if may_attest else None,
            "credential_form": CredentialForm(),
            **facts,
        },
        status=status,
    )
