"""What a convention's page tells: what happened, whose turn it is and since when, what comes next, the days left.

Reads only. Every text is for people; the gate reads none of it.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from broker import clock
from broker.accounts.models import Countersign
from consent.deadlines import add_working_days
from consent.models import Convention, RegistryEntry, Signature
from consent.transitions import convention as conventions
from consent.transitions.offer import has_distinct_holder
from consent.transitions.registry import TO_DECIDE

S = Convention.Status
PARTIES = dict(Signature.Party.choices)
# What each act is called on the page, and how it looks.
ACTS = {
    "sign_last": (gettext_lazy("Active : l'accès s'ouvre au premier jour, la notice publique est en ligne"), "ok"),
    "suspend": (gettext_lazy("Suspendue"), "no"),
    "resume": (gettext_lazy("Accès rétabli"), "ok"),
    "give_notice": (gettext_lazy("Préavis de trente jours donné"), "wait"),
    "terminate": (gettext_lazy("Résiliée"), "no"),
    "expire": (gettext_lazy("Arrivée à terme"), "quiet"),
    "lapse": (gettext_lazy("Abandonnée, faute de signature sous trente jours"), "quiet"),
    "attest": (gettext_lazy("Close : suppression vérifiée"), "ok"),
}
DECISIONS = {
    "convention.resume": gettext_lazy("Premier accord pour rétablir l'accès"),
    "convention.terminate": gettext_lazy("Premier accord pour résilier"),
    "convention.notice": gettext_lazy("Premier accord pour donner le préavis"),
}
TITLES = {
    "suspend": gettext_lazy("Suspendre la convention"),
    "resume": gettext_lazy("Rétablir l'accès"),
    "terminate": gettext_lazy("Résilier la convention"),
}
BAR = 100.0  # units of the drawing


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: who, since when, what is to be done, until when. `is_mine` when it is the reader's."""

    who: str
    text: str
    since: date | None = None
    until: date | None = None
    is_late: bool = False
    is_mine: bool = False
    url: str = ""
    action: str = ""
    tone: str = "wait"


@dataclass(frozen=True, slots=True)
class Bar:
    """The days of access, drawn: `passed` of BAR, and the words beside it."""

    first: date
    last: date
    passed: float
    words: str


def offered(convention: Convention, may: dict[str, bool]) -> list[dict[str, Any]]:
    """The acts that the state admits and that the reader may do: name, title, route."""
    names = [name for name in TITLES if may[name] and (S(convention.status), name) in conventions.NEXT]
    return [{"name": name, "title": TITLES[name], "route": f"convention-{name}"} for name in names]


def day_of(at: datetime | None) -> date | None:
    return at.astimezone(clock.PARIS).date() if at else None


def is_over(convention: Convention) -> bool:
    """Whether its days have passed, whatever a late job has written."""
    return convention.status in (S.EXPIRED, S.TERMINATED, S.CLOSED, S.WITHDRAWN) or (
        convention.status in (S.ACTIVE, S.SUSPENDED) and clock.today() > convention.last_day
    )


def bar(convention: Convention) -> Bar | None:
    """None while nothing is open: a convention in signature, or abandoned."""
    if convention.status in (S.SIGNING, S.WITHDRAWN):
        return None
    today, first, last = clock.today(), convention.starts_on, convention.last_day
    whole = (last - first).days + 1
    done = min(max((today - first).days, 0), whole)
    if is_over(convention) or today > last:
        return Bar(first, last, BAR, _("Terminée : plus aucun accès."))
    if today < first:
        left = (first - today).days
        words = ngettext("Ouvre dans %(n)s jour.", "Ouvre dans %(n)s jours.", left) % {"n": left}
        return Bar(first, last, 0.0, words)
    left = (last - today).days + 1
    words = ngettext("%(n)s jour restant, aujourd'hui compris.", "%(n)s jours restants, aujourd'hui compris.", left)
    return Bar(first, last, round(BAR * done / whole, 2), words % {"n": left})


def bodies(convention: Convention) -> dict[str, Any]:
    """The organisation that stands as each party."""
    found = {"operator": convention.zone.operator, "experimenter": convention.organisation}
    if has_distinct_holder(convention.offer):
        found["holder"] = convention.offer.dataset.holder
    return found


def parties(convention: Convention, signed: list, missing: list[str]) -> list[dict[str, Any]]:
    """Each party that must sign, in order, with its signature or since when it is awaited."""
    by_party = {signature.party: signature for signature in signed}
    return [
        {"label": PARTIES[party], "body": body, "signature": None if party in missing else by_party.get(party),
         "is_missing": party in missing, "since": convention.created_at}
        for party, body in bodies(convention).items()
    ]  # fmt: skip


def events(convention: Convention, signed: list) -> list[dict[str, Any]]:
    """The life of the convention, oldest first, then what is to come."""
    found: list[dict[str, Any]] = [
        {"at": convention.created_at, "label": _("Approuvée sous l'offre, document établi"), "tone": "ok"}
    ]
    for signature in signed:
        how = _("par mandat permanent") if signature.standing_mandate_id else _("en personne")
        label = _("Signée par %(party)s, %(how)s") % {"party": signature.get_party_display(), "how": how}
        found.append({"at": signature.signed_at, "label": label, "who": str(signature.signer), "tone": "ok"})
    acts = list(convention.acts.select_related("by"))
    if convention.activated_at and not any(act.act == "sign_last" for act in acts):
        found.append({"at": convention.activated_at, "label": str(ACTS["sign_last"][0]), "tone": "ok"})
    for act in acts:
        what, tone = ACTS[act.act]
        words = str(what)
        if act.effect_on:
            words = _("%(what)s : dernier jour le %(day)s") % {"what": words, "day": f"{act.effect_on:%d/%m/%Y}"}
        found.append({"at": act.at, "label": words, "who": str(act.by or ""), "text": act.reason, "tone": tone})
    for first in Countersign.objects.filter(
        act__in=DECISIONS, object_ref__startswith=f"convention:{convention.pk}@"
    ).select_related("first_by"):
        found.append(
            {"at": first.first_at, "label": str(DECISIONS[first.act]), "who": str(first.first_by),
             "text": first.first_reason, "tone": "wait"}
        )  # fmt: skip
    for named in convention.named_persons.select_related("user", "confirmed_by"):
        if named.confirmed_at:
            label = _("%s peut agir : personne confirmée") % named.user
            found.append({"at": named.confirmed_at, "label": label, "who": str(named.confirmed_by), "tone": "ok"})
    for given in convention.attestations.select_related("signer", "answered_by"):
        label, who = _("Suppression attestée"), str(given.signer)
        found.append({"at": given.signed_at, "label": label, "who": who, "tone": "ok"})
        if given.answered_at and not given.is_verified:
            found.append(
                {"at": given.answered_at, "label": _("Attestation renvoyée"), "who": str(given.answered_by),
                 "text": given.answer, "tone": "no"}
            )  # fmt: skip
    found.sort(key=lambda event: event["at"])
    return [*found, *_to_come(convention)]


def _to_come(convention: Convention) -> list[dict[str, Any]]:
    today = clock.today()
    if convention.status in (S.ACTIVE, S.SUSPENDED) and today <= convention.last_day:
        coming = [{"at": convention.last_day, "label": _("À venir : dernier jour d'accès, inclus"), "tone": "quiet"}]
        if today < convention.starts_on:
            coming.insert(0, {"at": convention.starts_on, "label": _("À venir : premier jour d'accès")})
        return coming
    if due := conventions.attestation_due(convention):
        return [{"at": due, "label": _("Attestation de suppression due au plus tard"), "tone": "wait"}]
    if convention.status == S.CLOSED and (closed := convention.acts.filter(act="attest").first()):
        gone = day_of(closed.at + conventions.KEY_KEPT)
        return [{"at": gone, "label": _("La clé des pseudonymes est détruite au plus tard le lendemain")}]
    return []


def turn(convention: Convention, *, missing: list[str], may: dict[str, bool]) -> Turn:
    """Whose turn it is. `may` says what the reader may do: sign, name, operate, attest."""
    here: dict[str, Any] = {"args": [convention.ref]}
    if convention.status == S.SIGNING:
        who = ", ".join(bodies(convention)[party].name for party in missing)
        return Turn(
            who, _("Lire et signer : la convention s'active à la dernière signature."), day_of(convention.created_at),
            conventions.last_day_to_sign(convention), is_mine=may["sign"],
            url=reverse("convention-sign", **here), action=_("Lire et signer"),
        )  # fmt: skip
    if convention.status == S.WITHDRAWN:
        return Turn("", _("Rien n'attend : reprenez l'offre par une nouvelle demande."), tone="quiet")
    if convention.status == S.CLOSED:
        return Turn("", _("Rien n'attend : les copies sont supprimées, la convention est close."), tone="ok")
    if is_over(convention):
        return _after_the_end(convention, may)
    if decision := Countersign.objects.filter(
        act__in=DECISIONS, object_ref=conventions.countersign_ref(convention), second_by=None
    ).first():
        name = "resume" if decision.act == "convention.resume" else "terminate"
        return Turn(
            _("un second agent de l'opérateur"), f"{DECISIONS[decision.act]} : {decision.first_reason}",
            day_of(decision.first_at), is_mine=may["operate"], url=reverse(f"convention-{name}", **here),
            action=_("Lire, puis décider"),
        )  # fmt: skip
    if convention.status == S.SUSPENDED:
        return _while_suspended(convention, may)
    return _while_active(convention, may)


def _after_the_end(convention: Convention, may: dict[str, bool]) -> Turn:
    here: dict[str, Any] = {"args": [convention.ref]}
    given = convention.attestations.filter(answered_at=None).first()
    if given:
        return Turn(
            _("l'opérateur"), _("Vérifier l'attestation de suppression : la convention est alors close."),
            day_of(given.signed_at), is_mine=may["operate"], url=reverse("convention-verify", **here),
            action=_("Lire l'attestation"),
        )  # fmt: skip
    due = conventions.attestation_due(convention)
    late = due is not None and clock.today() > due
    return Turn(
        _("l'expérimentateur"), _("Supprimer toutes les copies, puis l'attester (clause 20)."),
        convention.last_day, due, is_late=late, is_mine=may["attest"], url=reverse("convention-attest", **here),
        action=_("Attester la suppression"), tone="no" if late else "wait",
    )  # fmt: skip


def decide_by(convention: Convention) -> date | None:
    """The operator's last day to decide, when the experimenter has lost its accreditation."""
    entry = RegistryEntry.objects.filter(organisation=convention.organisation).order_by("-created_at").first()
    if entry is None or entry.status not in (RegistryEntry.Status.WITHDRAWN, RegistryEntry.Status.EXPIRED):
        return None
    return add_working_days(day_of(entry.decided_at) or clock.today(), TO_DECIDE)


def _while_suspended(convention: Convention, may: dict[str, bool]) -> Turn:
    here: dict[str, Any] = {"args": [convention.ref]}
    since = convention.acts.filter(act="suspend").order_by("-at", "-pk").values_list("at", flat=True).first()
    if until := decide_by(convention):
        return Turn(
            _("l'opérateur"), _("L'agrément de l'expérimentateur est perdu : décider si la convention est résiliée."),
            day_of(since), until, is_late=clock.today() > until, is_mine=may["operate"],
            url=reverse("convention-terminate", **here), action=_("Décider de la résiliation"),
        )  # fmt: skip
    return Turn(
        _("l'opérateur"), _("Lever la cause, puis rétablir l'accès à deux agents. La durée ne s'allonge pas."),
        day_of(since), is_mine=may["operate"], url=reverse("convention-resume", **here), action=_("Rétablir l'accès"),
    )  # fmt: skip


def _while_active(convention: Convention, may: dict[str, bool]) -> Turn:
    persons = list(convention.named_persons.filter(until_day=None))
    people = reverse("convention-people", args=[convention.ref])
    if not persons:
        return Turn(
            _("l'expérimentateur"), _("Désigner les personnes qui recevront les données."),
            day_of(convention.activated_at), is_mine=may["name"], url=people, action=_("Désigner une personne"),
        )  # fmt: skip
    waiting = [named for named in persons if named.confirmed_at is None]
    if waiting:
        return Turn(
            _("l'opérateur"), _("Confirmer les personnes désignées."), min(named.from_day for named in waiting),
            is_mine=may["operate"], url=people, action=_("Confirmer"),
        )  # fmt: skip
    return Turn("", _("Rien n'attend : les personnes confirmées demandent et reçoivent des remises."), tone="ok")
