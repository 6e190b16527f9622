"""A start-up signs up, asks for its accreditation, passes the checks, and is accredited by two clerks."""

import json
from datetime import date, timedelta

from deploy.demo.story import Page, Step, StepFailed, Story
from deploy.demo.story.people import STEPS_SIGNUP

NAME = "Glycéa"


def ask(story: Story):
    """The scope first; then the evidence this scope asks for, incomplete on purpose once."""
    julie = story.entered("julie")
    julie.follow("/registre/", "/registre/demande/")
    julie.submit(
        "/registre/demande/", "perimetre", domains=["clinical", "road_infrastructure", "environment"],
        zone_kinds=["hospital", "av_motorway"],
    )  # fmt: skip
    until = date.today() + timedelta(days=800)  # noqa: DTZ011  a paper's own date
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


def _accredit(clerk: str, *, second: bool):
    def run(story: Story):
        person = story.entered(clerk)
        links = Page(person.get("/bureau/")).links("/registre/demandes/")
        if not links:
            raise StepFailed("le bureau de l'agence ne montre pas la demande")
        answer = person.submit(links[0], "form-accredit", reason="Dossier complet, contrôles conformes.")
        if second and "Décision prise" not in Page(answer).text:
            raise StepFailed("deux agents ont décidé et l'agrément n'est pas prononcé")

    return run


def public_line(story: Story):
    """Its line is on the public list, for anybody: page and JSON."""
    visitor = story.entered("julie")
    if NAME not in Page(visitor.get(f"/registre/?q={NAME}")).text:
        raise StepFailed("le registre public ne montre pas la start-up")
    answer = visitor.get("/registre.json")
    lines = {line["name"]: line for line in json.loads(answer.content)["entries"]}
    if lines.get(NAME, {}).get("status") != "accredited":
        raise StepFailed("le registre en JSON ne dit pas que la start-up est agréée")
    story.keep("registry_json", "registre.json", answer.content)


STEPS = [
    *STEPS_SIGNUP,
    Step("demande l'agrément ; la liste dit ce qui manque", "julie", ask),
    Step("complète la demande ; les contrôles passent", "julie", complete),
    Step("donne un premier avis favorable", "sophie", _accredit("sophie", second=False)),
    Step("confirme en second : Glycéa est agréée", "karim", _accredit("karim", second=True)),
    Step("se voit au registre public, page et JSON", "julie", public_line),
]
