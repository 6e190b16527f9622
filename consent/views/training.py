"""Before personal data open: what is still missing, the training page by page, the undertaking."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import second_factor
from consent import facts, gate, lessons, readiness, rules
from consent.forms import QuestionsForm, UndertakingForm
from consent.models import Undertaking
from consent.transitions import training
from consent.views.convention import seen


def _language() -> str:
    return "en" if (get_language() or "fr").startswith("en") else "fr"


def ready(request, ref):
    """What this person still needs under this convention, and when what they did runs out."""
    convention = seen(request, ref)
    _colleague(request, convention)
    learnt = dict(facts.trainings_of(request.user))
    months = rules.current(clock.now()).parameters["training_max_age_months"]
    courses = []
    for family in lessons.families_of(convention.offer.dataset.domains):
        day = learnt.get(family)
        until = gate.add_months(day, months) if day else None
        courses.append({"code": family, "name": lessons.name_of(family, _language()), "day": day, "until": until,
                        "is_valid": until is not None and clock.today() < until})  # fmt: skip
    context = {
        "convention": convention, "courses": courses, "is_personal": convention.offer.dataset.is_personal,
        "undertaking": Undertaking.objects.filter(convention=convention, user=request.user).first(),
        "is_named": convention.named_persons.filter(user=request.user, until_day=None).exists(),
        "lacks": readiness.lacking(convention, request.user),
    }  # fmt: skip
    return render(request, "consent/person_ready.html", context)


def lesson(request, ref):
    """One page of the training; the last one asks the questions."""
    convention = seen(request, ref)
    _colleague(request, convention)
    course, language = lessons.load(), _language()
    families = lessons.families_of(convention.offer.dataset.domains)
    family = request.GET.get("famille", families[0])
    if family not in families:
        raise Http404
    last = len(course.lessons) + 1
    asked = request.GET.get("page", "1")
    number = last if request.method == "POST" else min(max(int(asked) if asked.isdigit() else 1, 1), last)
    form = (
        QuestionsForm(request.POST or None, questions=course.questions, language=language) if number == last else None
    )
    if form is not None and form.is_valid():
        training.complete_training(family, by=request.user, answers=form.cleaned_data)
        messages.success(request, _("Formation suivie : merci."))
        return redirect("person-ready", ref=ref)
    page = None
    if number < last:
        one = course.lessons[number - 1]
        page = {"title": one[f"title_{language}"], "text": one[f"text_{language}"]}
    context = {
        "convention": convention, "family": family, "name": lessons.name_of(family, language), "form": form,
        "lesson": page, "number": number, "last": last, "before": number - 1, "after": number + 1,
        "steps": range(1, last + 1),
    }  # fmt: skip
    return render(request, "consent/training.html", context, status=422 if form is not None and form.errors else 200)


def undertaking(request, ref):
    """The individual confidentiality undertaking: its text, the formula to type, the second factor."""
    convention = seen(request, ref)
    _colleague(request, convention)
    text = training.undertaking_text(convention, request.user)
    given = second_factor.just_given(request)
    form = UndertakingForm(request.POST or None, asks_code=given is None, initial={"text_sha256": lessons.sha256(text)})
    if form.is_valid():
        training.sign_undertaking(convention, by=request.user, given=given, **form.cleaned_data)
        messages.success(request, _("Engagement signé. Il porte votre nom, l'heure et l'empreinte du texte."))
        return redirect("person-ready", ref=ref)
    context = {
        "convention": convention, "form": form, "lines": text.split("\n"), "sha256": lessons.sha256(text),
        "translation": training.undertaking_text(convention, request.user, "en").split("\n")
        if _language() == "en"
        else [],
        "signed": Undertaking.objects.filter(convention=convention, user=request.user).first(),
        "formula": training.FORMULA,
        "is_named": convention.named_persons.filter(user=request.user, until_day=None).exists(),
    }  # fmt: skip
    return render(request, "consent/undertaking.html", context, status=422 if form.is_bound else 200)


def _colleague(request, convention) -> None:
    """These pages are for the experimenter's people: the only ones who may be named."""
    if not request.user.belongs_to(convention.organisation):
        raise Http404
