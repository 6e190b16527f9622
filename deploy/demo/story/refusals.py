"""What the platform refuses, each time with every reason: an unnamed person, an unjustified column, a commercial
purpose (which opens a request for a licence), a machine without an order, an order used twice."""

import httpx

from deploy.demo.story import Page, Step, StepFailed, Story, acts


def _asked(story: Story, who: str, *columns: str) -> httpx.Response:
    """`who` asks for `columns` of the stays: the answer, refused."""
    path = f"/conventions/{story.memory.convention}/remises/nouvelle/"
    return acts.again(story, who).post(path, expect=403, columns=list(columns))


def unnamed(story: Story):
    answer = _asked(story, "julie", "age", "readmitted")
    story.refused("une personne non habilitée demande les séjours", "julie", answer, "G02", "G03")


def unjustified(story: Story):
    answer = _asked(story, "samir", "age", "readmitted", "payer_code")
    story.refused("une colonne que l'offre ne justifie pas", "samir", answer, "G21")


def everything(story: Story):
    """Every reason at once: who asks, and three columns that may not leave."""
    path = f"/conventions/{story.memory.convention}/remises/nouvelle/"
    answer = story.people["julie"].post(path, expect=403, columns=["age", "encounter_id", "payer_code"])
    story.refused("tout à la fois : la personne, une colonne, un identifiant", "julie", answer,
                  "G02", "G03", "G21", "G23")  # fmt: skip


def commercial(story: Story):
    path = f"/offres/{story.memory.stays_offer}/demander/"
    answer = story.people["julie"].submit(
        path, "demande", expect=403, purpose_kind="commercial", solution="Alerte vendue aux cliniques"
    )
    story.refused("un usage commercial sous une convention d'expérimentation", "julie", answer, "G06")
    drafts = Page(answer).links("/licences/")
    if not drafts:
        raise StepFailed("le refus n'ouvre aucune demande de licence")
    story.memory["licence"] = drafts[0].rstrip("/").rsplit("/", 1)[-1]


def ask_licence(story: Story):
    answer = story.people["julie"].submit(
        f"/licences/{story.memory.licence}/", "licence", act="submit", market="cliniques privées",
        intended_on=acts.paper_day(300), price_expectation="à discuter",
    )  # fmt: skip
    if "déposée" not in Page(answer).text:
        raise StepFailed("la demande de licence n'est pas déposée")


def sees_licence(story: Story):
    acts.again(story, "claire").follow("/bureau/", f"/licences/{story.memory.licence}/")


def _machine(story: Story, step: str, path: str) -> None:
    """The environment's machine asks `path` of the delivery server: refused by G01 alone, in JSON."""
    with httpx.Client(trust_env=False, timeout=60) as machine:
        answer = machine.get(
            f"{story.delivery}{path}",
            headers={"Authorization": f"Terrain-Machine {story.memory['credential_secret']}"},
        )
    story.answer = answer
    told = [reason["code"] for reason in answer.json().get("reasons", ())] if answer.status_code == 403 else None
    if told != ["G01"]:
        raise StepFailed(f"{step} : {answer.status_code} {answer.text[:600]}")
    story.refusals.append({"step": step, "who": "machine", "rules": told})


def machine_without_order(story: Story):
    _machine(story, "une machine sans ordre", f"/remises/{story.memory.release}/")


def used_order(story: Story):
    _machine(story, "un ordre de machine qui a déjà servi", f"/ordres/{story.memory.order}/")


STEPS = [
    Step("n'est pas habilitée : la barrière refuse et dit pourquoi", "julie", unnamed),
    Step("demande une colonne sans justification : refusée", "samir", unjustified),
    Step("demande ce qui ne part jamais : tous les motifs à la fois", "julie", everything),
    Step("veut servir des clients : refusé, une demande de licence s'ouvre", "julie", commercial),
    Step("dépose la demande de licence commerciale", "julie", ask_licence),
    Step("la trouve sur son bureau, trente jours ouvrés pour répondre", "claire", sees_licence),
    Step("laisse sa machine tirer sans ordre : refusée", "samir", machine_without_order),
    Step("laisse sa machine rejouer un ordre : refusée", "samir", used_order),
]
