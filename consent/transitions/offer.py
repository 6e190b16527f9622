"""The life of an offer: what an operator decides once to supply (legal-gate, section 5.0).

Terms move in the draft alone. From submission on they are fixed: opinions, mandate and decision bear on the same
terms, and a change is a new version.
"""

from django.db.models import Q
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import second_factor
from broker.accounts.countersigning import countersign
from broker.accounts.models import Membership, Role
from broker.audit.actions import describe, recorded
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput, WrongState
from consent import permissions, rules, terms, treatments
from consent.domains import HEALTH
from consent.models import Offer, OfferColumn, Opinion, StandingMandate
from zones.models import ColumnRole, Dataset

S = Offer.Status

NEXT = {  # the whole life of one version of an offer
    (S.DRAFT, "submit"): S.UNDER_REVIEW,
    (S.UNDER_REVIEW, "publish"): S.PUBLISHED,
    (S.PUBLISHED, "suspend"): S.SUSPENDED,
    (S.SUSPENDED, "resume"): S.PUBLISHED,
    (S.DRAFT, "end"): S.ENDED,
    (S.UNDER_REVIEW, "end"): S.ENDED,
    (S.PUBLISHED, "end"): S.ENDED,
    (S.SUSPENDED, "end"): S.ENDED,
}

# The fields of the standing notice that must be there before anyone may be told that it is complete (RGPD art. 14).
NOTICE_FIELDS = ("who", "what", "why", "basis", "until", "where", "rights", "contact")
# What the French copy of a new version carries over from the one it replaces.
COPIED = (
    "title", "purposes", "models_fate", "results_owner", "delivery_mode", "environment_klass", "price", "expert_hours",
    "dpia_reference", "dpia_validated_on", "holder_basis", "mr_reference", "record_reference", "notice",
    "releases_per_month", "downloads_per_release", "starts_on", "ends_on",
)  # fmt: skip


def next_state(status: str, act: str) -> str:
    """Where `act` leads from `status`. Raises WrongState, naming both."""
    try:
        return NEXT[S(status), act]
    except KeyError:
        raise WrongState(
            _("Une offre à l'état « %(state)s » n'admet pas cet acte. Pour la changer, préparez une nouvelle version.")
            % {"state": S(status).label}
        ) from None


def locked(offer: Offer) -> Offer:
    return (
        Offer.objects.select_for_update(of=("self",)).select_related("dataset__zone__operator", "dataset__holder")
    ).get(pk=offer.pk)


def countersign_ref(offer: Offer) -> str:
    return f"offer:{offer.pk}"


def _about(offer: Offer, **detail) -> None:
    zone = offer.dataset.zone
    describe(obj=offer, zone=zone.reference, org=zone.operator, detail={"version": offer.version, **detail})


@recorded("offer.draft")
def draft(dataset: Dataset, *, by, columns, replaces: Offer | None = None, **facts) -> Offer:
    """A draft offer on `dataset`. `columns`: (Column, justification, treatment, approves_sensitive) a line.

    Raises BadInput on a column without a reason, a direct identifier, or a sensitive column not approved apart.
    """
    zone = dataset.zone
    describe(obj=dataset, zone=zone.reference, org=zone.operator)
    permissions.require_offer_writer(by, zone)
    if dataset.status != Dataset.Status.PUBLISHED:
        raise WrongState(_("Publiez d'abord le jeu « %s » : une offre porte sur un jeu publié.") % dataset)
    _check_columns(dataset, columns)
    offer = Offer(
        dataset=dataset, created_by=by, replaces=replaces, version=replaces.version + 1 if replaces else 1, **facts
    )
    offer.save()
    OfferColumn.objects.bulk_create(
        OfferColumn(
            offer=offer, column=column, justification=justification, treatment=treatment, approves_sensitive=approved
        )
        for column, justification, treatment, approved in columns
    )
    _about(offer, columns=[column.path for column, *_rest in columns])
    return offer


def _check_columns(dataset, columns) -> None:
    if not columns:
        raise BadInput(_("Une offre porte sur au moins une colonne."))
    every = list(dataset.columns.all())
    for column, justification, treatment, approved in columns:
        name = {"column": column.path}
        if column.dataset_id != dataset.pk or not column.role:
            raise BadInput(_("La colonne %(column)s n'a pas de rôle confirmé dans ce jeu.") % name)
        if not justification.strip():
            raise BadInput(_("Dites en une phrase pourquoi la colonne %(column)s est nécessaire.") % name)
        if column.role == ColumnRole.DIRECT_IDENTIFIER:
            raise BadInput(_("%(column)s identifie directement une personne : elle n'est jamais remise.") % name)
        if column.role == ColumnRole.SENSITIVE and not approved:
            raise BadInput(
                _("%(column)s est de sensibilité renforcée : approuvez-la séparément, ou retirez-la.") % name
            )
        column.dataset = dataset
        beside = [c for c in every if c.table_id == column.table_id]
        if treatment and (refused := treatments.problems(treatment, column, approved=approved, columns=beside)):
            raise BadInput(" ".join(refused))
    # A point's coordinates go together within a table, the shifts of dates in all of them.
    together: dict = {"": {}}
    for column, _why, way, _approved in columns:
        if way:
            together.setdefault(column.table_id, {})[column.name] = way
            if way["kind"].startswith("shift"):
                together[""][column.path] = way
    for ways in together.values():
        if refused := treatments.disagreements(ways):
            raise BadInput(" ".join(refused))


@recorded("offer.submit")
def submit(offer: Offer, *, by) -> Offer:
    """Ask for opinions and decision; from here the terms no longer move. Raises BadInput naming what is missing."""
    offer = locked(offer)
    _about(offer)
    permissions.require_offer_writer(by, offer.dataset.zone)
    status = next_state(offer.status, "submit")
    if missing := missing_terms(offer):
        raise BadInput(_("Avant de soumettre l'offre, complétez : %s.") % " ; ".join(missing))
    return _save(offer, status=status)


def missing_terms(offer: Offer) -> list[str]:
    """What the offer still lacks before it may be decided, in words."""
    missing = []
    if not offer.columns.exists():
        missing.append(_("les colonnes"))
    if offer.dataset.is_personal:
        if not offer.dpia_reference or offer.dpia_validated_on is None:
            missing.append(_("l'analyse d'impact et sa date de validation"))
        if not offer.holder_basis.get("article_6"):
            missing.append(_("la base légale du détenteur (art. 6)"))
        if not offer.holder_basis.get("compatibility"):
            missing.append(_("la compatibilité de la réutilisation"))
        if HEALTH.intersection(offer.dataset.domains):
            if not offer.holder_basis.get("article_9"):
                missing.append(_("la condition du détenteur pour des données de santé (art. 9)"))
            if not offer.holder_basis.get("secrecy"):
                missing.append(_("ce qui permet de lever le secret professionnel"))
            if not offer.mr_reference:
                missing.append(_("la méthodologie de référence ou la décision de la CNIL"))
        if not offer.record_reference:
            missing.append(_("la fiche du registre des traitements"))
        if lacking := [field for field in NOTICE_FIELDS if not str(offer.notice.get(field, "")).strip()]:
            missing.append(_("la notice publique (%s)") % ", ".join(lacking))
    return missing


@recorded("offer.opinion")
def give_opinion(offer: Offer, *, by, kind: str, is_favourable: bool, text: str) -> Opinion:
    """The DPO's or the head of service's opinion, once each."""
    offer = locked(offer)
    _about(offer, kind=kind, is_favourable=is_favourable)
    if kind == Opinion.Kind.DPO:
        permissions.require_dpo(by, offer.dataset.zone)
    else:
        permissions.require_steward(by, offer.dataset.zone)
    _under_review(offer)
    if not text.strip():
        raise BadInput(_("Un avis se motive : écrivez-le en une phrase au moins."))
    if offer.opinions.filter(kind=kind).exists():
        raise WrongState(_("Cet avis a déjà été donné."))
    return Opinion.objects.create(offer=offer, kind=kind, is_favourable=is_favourable, text=text, given_by=by)


def _under_review(offer: Offer) -> None:
    """Opinions and mandates bear on an offer submitted and not yet decided."""
    next_state(offer.status, "publish")


def sign_mandate(offer: Offer, *, by, party: str, code: str, terms_sha256: str) -> StandingMandate:
    """The legal representative signs the terms for the conventions to come, second factor at the act.

    `terms_sha256` is what the signatory was shown: other terms than those refuse. The code is checked outside the
    transaction, so that a refusal afterwards never gives a spent code back.
    """
    permissions.require_representative(by, party_of(offer, party))
    evidence = second_factor.confirm(by, code)
    return _sign_mandate(offer, by=by, party=party, evidence=evidence, terms_sha256=terms_sha256)


@recorded("offer.mandate")
def _sign_mandate(offer: Offer, *, by, party: str, evidence: dict, terms_sha256: str) -> StandingMandate:
    offer = locked(offer)
    _about(offer, party=party)
    organisation = party_of(offer, party)
    permissions.require_representative(by, organisation)
    if party == "operator" or offer.status != S.PUBLISHED:
        _under_review(offer)
    if offer.mandates.filter(party=party).exists():
        raise WrongState(_("Le mandat permanent de cette partie est déjà signé."))
    now_sha256 = terms.sha256(offer)
    if terms_sha256 != now_sha256:
        raise WrongState(_("Les termes affichés ne sont plus ceux de l'offre : relisez-les avant de signer."))
    membership = mandate_of(by, organisation)
    signed = StandingMandate.objects.create(
        offer=offer, party=party, terms_sha256=now_sha256, signer=by, mandate=membership.mandate, level="strengthened",
        evidence={**evidence, "mandate_until": membership.mandate_until and membership.mandate_until.isoformat()},
    )  # fmt: skip
    _about(offer, party=party, terms_sha256=now_sha256)
    return signed


def party_of(offer: Offer, party: str):
    """The organisation that stands as `party` of the offer. The holder is a party only where distinct."""
    if party == "operator":
        return offer.dataset.zone.operator
    if party == "holder" and has_distinct_holder(offer):
        return offer.dataset.holder
    raise BadInput(_("Cette offre n'a pas d'autre partie à engager."))


def has_distinct_holder(offer: Offer) -> bool:
    return offer.dataset.holder_id != offer.dataset.zone.operator_id


def mandate_of(user, organisation) -> Membership:
    """The legal representative's membership whose mandate is valid today. Raises WrongState when it has ended."""
    today = clock.today()
    found = (
        Membership.objects.current()
        .filter(user=user, organisation=organisation, role=Role.LEGAL_REPRESENTATIVE)
        .filter(Q(mandate_until=None) | Q(mandate_until__gte=today))
        .first()
    )
    if found is None:
        raise WrongState(
            _("Votre mandat pour %s n'est plus valable aujourd'hui ; faites-le renouveler.") % organisation
        )
    return found


def notice_days() -> int:
    """How many days a standing notice runs before personal data may leave (parameter of the rule set in force)."""
    return rules.current(clock.now()).parameters["notice_days_personal"]


def missing_before_publication(offer: Offer) -> list[str]:
    """What keeps the offer from being decided, in words; empty when two officers may publish it."""
    opinions = {opinion.kind: opinion for opinion in offer.opinions.all()}
    missing = []
    head = opinions.get(Opinion.Kind.HEAD_OF_SERVICE)
    if head is None:
        missing.append(_("l'avis du responsable de service"))
    elif not head.is_favourable:
        missing.append(_("un avis favorable du responsable de service (préparez une nouvelle version)"))
    dpo = opinions.get(Opinion.Kind.DPO)
    if dpo is None:
        missing.append(_("l'avis du DPO"))
    elif not dpo.is_favourable and any(line.approves_sensitive for line in offer.columns.all()):
        missing.append(_("un avis favorable du DPO sur les colonnes de sensibilité renforcée"))
    if "operator" not in {mandate.party for mandate in offer.mandates.all()}:
        missing.append(_("la signature des termes par le représentant légal de l'opérateur"))
    return missing


@recorded("offer.review")
def decide(offer: Offer, *, by, reason="") -> Offer:
    """An officer's decision to publish; the second, different officer's makes it take effect."""
    offer = locked(offer)
    _about(offer, decision="publish")
    permissions.require_operator(by, offer.dataset.zone)
    next_state(offer.status, "publish")
    if missing := missing_before_publication(offer):
        raise WrongState(_("Il manque encore : %s.") % " ; ".join(missing))
    if countersign("offer.publish", countersign_ref(offer), by=by, reason=reason).is_complete:
        _published(offer, by=by)
    return offer


@recorded("offer.publish")
def _published(offer: Offer, *, by) -> None:
    """Put the offer and its standing notice online; the version it replaces ends."""
    now = clock.now()
    _about(offer)
    _save(offer, status=next_state(offer.status, "publish"), published_at=now, notice_published_at=now)
    former = offer.replaces
    if former is not None and former.status in (S.PUBLISHED, S.SUSPENDED):
        end(former, by=by)


@recorded("offer.suspend")
def suspend(offer: Offer, *, by, reason: str) -> Offer:
    """Take the offer down: nobody can take it up; conventions already signed are not touched."""
    offer = locked(offer)
    _about(offer, reason=reason)
    permissions.require_operator(by, offer.dataset.zone)
    return _save(offer, status=next_state(offer.status, "suspend"))


@recorded("offer.review")
def resume(offer: Offer, *, by, reason: str = "") -> Offer:
    """Put a suspended offer back online, by two officers of the operator."""
    offer = locked(offer)
    _about(offer, decision="resume", reason=reason)
    permissions.require_operator(by, offer.dataset.zone)
    next_state(offer.status, "resume")
    if countersign("offer.resume", countersign_ref(offer), by=by, reason=reason).is_complete:
        _resumed(offer, by=by)
    return offer


@recorded("offer.resume")
def _resumed(offer: Offer, *, by) -> None:
    _about(offer)
    _save(offer, status=next_state(offer.status, "resume"))


@recorded("offer.end")
def end(offer: Offer, *, by) -> Offer:
    """End this version for good."""
    offer = locked(offer)
    _about(offer)
    permissions.require_operator(by, offer.dataset.zone)
    return _save(offer, status=next_state(offer.status, "end"))


def new_version(offer: Offer, *, by) -> Offer:
    """A draft with the same terms, to be changed, opined on and decided again."""
    lines = offer.columns.select_related("column")
    return draft(
        offer.dataset,
        by=by,
        replaces=offer,
        columns=[(line.column, line.justification, line.treatment, line.approves_sensitive) for line in lines],
        **{name: getattr(offer, name) for name in COPIED},
    )


def _save(offer: Offer, **facts) -> Offer:
    for name, value in facts.items():
        setattr(offer, name, value)
    offer.save(update_fields=list(facts))
    if "status" in facts:
        raise_epoch(("offer", str(offer.pk)))
    return offer
