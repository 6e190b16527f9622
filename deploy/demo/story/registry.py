"""A start-up signs up, asks for its accreditation, passes the checks, and is accredited by two clerks."""

from deploy.demo.story import Page, Step, StepFailed, Story, acts
from deploy.demo.story.people import STEPS_SIGNUP


def ask(story: Story):
    """The scope first; then the evidence this scope asks for, incomplete on purpose once."""
    julie = story.entered("julie")
    julie.follow("/registre/", "/registre/demande/")
    julie.submit(
        "/registre/demande/", "perimetre", domains=["clinical", "road_infrastructure", "environment"],
        zone_kinds=["hospital", "av_motorway"],
    )  # fmt: skip
    until = acts.paper_day(800)
    answer = julie.submit(
        "/registre/demande/", "depot", mandate="statuts, article 12", insurer="Mutuelle des jeunes entreprises",
        insurance_policy="RC-2026-118", dpo_contact="dpo@glycea.example",
        record_extract="Fiche 4 : mise au point d'une alerte glycémique, douze mois.",
        questionnaire=["two_factors", "encryption", "access_review", "backups", "incident"], hosting_country="FR",
        hosting_name="Hébergeur de santé certifié", hds_until=until, mr_number="MR-004, intention", commitment=True,
    )  # fmt: skip
    if "attestation d'assurance" not in Page(answer).text:
        raise StepFailed("une assurance sans date de fin aurait dû être signalée")
    story.memory["insurance_until"] = until.isoformat()


def complete(story: Story):
    answer = story.entered("julie").submit(
        "/registre/demande/", "depot", insurance_until=story.memory["insurance_until"]
    )
    if "Tous les contrôles sont passés" not in Page(answer).text:
        raise StepFailed("les contrôles automatiques ne passent pas : " + " · ".join(Page(answer).errors()))


STEPS = [
    *STEPS_SIGNUP,
    Step("demande l'agrément ; la liste dit ce qui manque", "julie", ask),
    Step("complète la demande ; les contrôles passent", "julie", complete),
    Step("donne un premier avis favorable", "sophie", acts.accredit("sophie", second=False)),
    Step("confirme en second : Glycéa est agréée", "karim", acts.accredit("karim", second=True)),
    Step("se voit au registre public, page et JSON", "julie", acts.accredited("julie")),
]
