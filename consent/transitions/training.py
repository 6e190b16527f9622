"""What a named person does before personal data open: learn, answer, undertake (rule G03)."""

from django.utils.translation import gettext as _

from broker.accounts import second_factor
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, WrongState
from consent import lessons
from consent.models import Convention, Training, Undertaking
from consent.transitions.convention import ENDED

FORMULA = "Lu et compris, je m'engage"  # what the person types, in French: the language of what is signed


def wrong_answers(answers: dict[str, str]) -> list[str]:
    """The codes of the questions that `answers` gets wrong or leaves out, in order."""
    return [
        question["code"] for question in lessons.load().questions if answers.get(question["code"]) != question["right"]
    ]


@recorded("training.complete")
def complete_training(family: str, *, by, answers: dict[str, str]) -> Training:
    """`by` answered every question of `family` right; a wrong answer is told, and may be mended at once."""
    describe(obj=by, detail={"family": family})
    if family not in {one["code"] for one in lessons.load().families}:
        raise BadInput(_("Cette formation n'existe pas : reprenez depuis la page de la convention."))
    if wrong := wrong_answers(answers):
        describe(detail={"wrong": wrong})
        raise BadInput(_("Une réponse au moins est à revoir : corrigez-la, puis validez à nouveau."))
    course = lessons.load()
    done = Training.objects.create(user=by, family=family, lessons_version=course.version, lessons_sha256=course.sha256)
    describe(obj=done)
    return done


def undertaking_text(convention: Convention, user, language: str = "fr") -> str:
    """The exact text that `user` would sign under `convention`; the French one is the one that binds."""
    return lessons.undertaking(
        language, person=str(user), org=str(convention.organisation), ref=convention.ref,
        dataset=convention.offer.dataset.title,
    )  # fmt: skip


def sign_undertaking(
    convention: Convention, *, by, typed: str, text_sha256: str, code: str = "", given: dict[str, str] | None = None
) -> Undertaking:
    """`by`, named under `convention`, undertakes the text they were shown, second factor at the act: a fresh `code`,
    or the evidence `given` by `second_factor.just_given`.

    The code is checked outside the transaction, so that a refusal afterwards never gives a spent code back.
    """
    _require_named(convention, by)
    if _plain(typed) != _plain(FORMULA):
        raise BadInput(_("Recopiez la formule telle qu'elle est écrite : « %s ».") % FORMULA)
    evidence = given or second_factor.confirm(by, code)
    return _sign(convention, by=by, evidence=evidence, typed=typed, text_sha256=text_sha256)


@recorded("undertaking.sign")
def _sign(convention: Convention, *, by, evidence: dict, typed: str, text_sha256: str) -> Undertaking:
    describe(obj=convention, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference)
    _require_named(convention, by)
    if convention.status in ENDED:
        raise WrongState(_("Cette convention est finie : il n'y a plus d'engagement à signer."))
    if Undertaking.objects.filter(convention=convention, user=by).exists():
        raise WrongState(_("Vous avez déjà signé cet engagement."))
    text = undertaking_text(convention, by)
    if text_sha256 != lessons.sha256(text):
        raise WrongState(_("Le texte a changé depuis que vous l'avez ouvert : relisez-le, puis signez."))
    signed = Undertaking.objects.create(
        convention=convention, user=by, text=text, text_sha256=text_sha256, typed=typed, evidence=evidence
    )
    describe(obj=signed, detail={"text_sha256": text_sha256})
    return signed


def _require_named(convention: Convention, user) -> None:
    if not convention.named_persons.filter(user=user, until_day=None).exists():
        raise NotAllowed(
            _("Vous ne figurez pas encore parmi les personnes habilitées : demandez à votre représentant légal.")
        )


def _plain(text: str) -> str:
    """Case, apostrophes and spaces are not what the formula is about."""
    return " ".join(text.replace("’", "'").split()).rstrip(".").casefold()
