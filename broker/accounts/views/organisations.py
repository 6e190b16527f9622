"""The organisation of whoever is signed in: founding it, its people, its environments."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from broker.accounts import actions, permissions
from broker.accounts.forms import MemberForm, OrganisationForm
from broker.accounts.models import Invitation, Membership, SecureEnvironment, User

PER_PAGE = 25


def create(request):
    permissions.require_creation(request.user)
    form = OrganisationForm(request.POST or None)
    if form.is_valid():
        organisation = actions.create_organisation(by=request.user, **form.cleaned_data)
        messages.success(request, _("%(name)s est déclaré.") % {"name": organisation})
        return redirect("organisation-detail")
    return render(request, "accounts/organisation_create.html", {"form": form}, status=422 if form.is_bound else 200)


def detail(request):
    """The members and environments; its legal representative invites colleagues here."""
    organisation = request.user.organisation
    if organisation is None:
        invitations = Invitation.objects.for_user(request.user).select_related("organisation", "invited_by")[:PER_PAGE]
        return render(
            request, "accounts/organisation_detail.html", {"organisation": None, "invitations": list(invitations)}
        )
    may_lead = permissions.may_lead(request.user, organisation)
    if request.method == "POST":
        permissions.require_lead(request.user, organisation)
    form = MemberForm(request.POST or None) if may_lead else None
    if form is not None and form.is_valid():
        made = actions.invite(organisation, by=request.user, email=form.cleaned_data["email"])
        messages.success(request, _("%(email)s est invité : dites-lui d'ouvrir sa page.") % {"email": made.email})
        return redirect("organisation-detail")
    current = Membership.objects.current().filter(organisation=organisation).order_by("role")
    members = (
        User.objects.filter(memberships__in=current)
        .distinct()
        .order_by("full_name", "pk")
        .prefetch_related(Prefetch("memberships", queryset=current, to_attr="here"))
    )
    return render(
        request,
        "accounts/organisation_detail.html",
        {
            "organisation": organisation,
            "facts": [
                (_("SIREN"), organisation.siren or "—"),
                (_("Forme juridique"), organisation.legal_form or "—"),
                (_("Contact"), organisation.contact_email or "—"),
                (_("Contact pour les données personnelles"), organisation.dpo_email or "—"),
            ],
            "page": Paginator(members, PER_PAGE).get_page(request.GET.get("page")),
            "form": form,
            "waiting": list(organisation.invitations.open()[:PER_PAGE]) if may_lead else [],
            "may_declare": permissions.may_declare_environment(request.user, organisation),
            "environments": list(SecureEnvironment.objects.for_user(request.user)[:PER_PAGE]),
        },
        status=422 if form is not None and form.is_bound else 200,
    )


@require_POST
def accept(request, pk):
    member = actions.accept(get_object_or_404(Invitation.objects.for_user(request.user), pk=pk), by=request.user)
    messages.success(request, _("Vous êtes maintenant membre de %(name)s.") % {"name": member.organisation})
    return redirect("organisation-detail")


@require_POST
def decline(request, pk):
    actions.decline(get_object_or_404(Invitation.objects.for_user(request.user), pk=pk), by=request.user)
    messages.success(request, _("L'invitation est refusée."))
    return redirect("organisation-detail")
