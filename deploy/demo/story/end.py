"""A convention reaches its last day: the day after, access is refused, whatever the jobs have written down."""

from deploy.demo.people import Page
from deploy.demo.story import Step, StepFailed, Story, acts
from deploy.demo.story.withdrawal import TO_ANSWER

# The rooms `objection` (a night) and `withdrawal` let this time pass for their own reasons; the day after it is the
# first one of no access.
LASTS = TO_ANSWER  # days after the one of the signature


def take_up(story: Story):
    acts.take_up(
        "theo", "traffic_offer", "traffic_convention_flexio", solution="Recharge des cars selon le trafic prévu",
        purpose_code="traffic_rnd", ends_on=acts.demo_day(story, LASTS),
    )(story)  # fmt: skip


def download(story: Story):
    theo, number = story.people["theo"], story.memory["traffic_release_flexio"]
    answer = theo.save(f"/remises/{number}/", story.var / "artefacts" / "trafic-flexio.csv", "download-form", post=True)
    if "attachment" not in answer.headers.get("content-disposition", ""):
        raise StepFailed("le téléchargement est refusé : " + " · ".join(Page(answer).errors()))


def after_the_end(story: Story):
    theo, number = acts.again(story, "theo"), story.memory["traffic_release_flexio"]
    answer = theo.submit(f"/remises/{number}/", "download-form")
    shown = acts.reasons(Page(answer))
    late = ("G10",) if shown[:1] == ["G10"] else ()  # the hourly job may have written the end down in between
    overdue = ("G38",) if shown[-1:] == ["G38"] else ()  # an order to withdraw that he let pass, if he received one
    story.refused("un jour après la fin de la convention", "theo", answer, *late, "G11", *overdue)


def what_is_due(story: Story):
    """The page says what comes next: fifteen days to attest that the copies are gone."""
    ref = story.memory["traffic_convention_flexio"]
    page = story.people["theo"].page(f"/conventions/{ref}/")
    if "Supprimer toutes les copies" not in page.text or not page.links(f"/conventions/{ref}/attester/"):
        raise StepFailed(f"la page ne dit pas que la suppression est à attester : {page.text[:600]}")


TAKES = [
    Step("reprend l'offre sur le trafic pour quinze jours", "theo", take_up),
    Step("signe la convention de Flexio sur le trafic", "theo", acts.sign("theo", "traffic_convention_flexio")),
    Step("se désigne lui-même", "theo", acts.name_person("theo", "theo", "traffic_convention_flexio")),
    Step("confirme Théo", "marc", acts.confirm_person("marc", "traffic_convention_flexio")),
    Step("demande le trafic", "theo",
         acts.ask_release("theo", "traffic_convention_flexio", "traffic_release_flexio")),
    Step("attend sa remise", "theo", acts.wait_release("theo", "traffic_release_flexio")),
    Step("télécharge le trafic tant que c'est permis", "theo", download),
]  # fmt: skip
STEPS = [
    Step("est refusé le lendemain de la fin", "theo", after_the_end),
    Step("lit ce qu'il doit encore : attester la suppression", "theo", what_is_due),
]
