"""Two patients say no at the hospital's desk: the head of service records their number, and gets a receipt."""

from urllib.parse import parse_qs, urlsplit

from deploy.demo.story import Page, Step, StepFailed, Story

# Numbers that are in the real file: adults with several stays (284400: six, all at 60 to 70 years; 5287950: seven).
OPPOSED = ["284400", "5287950"]


def record_one(story: Story, paul, number: str) -> str:
    """Record one objection, and wait until its own page says that it is in force. Returns the receipt."""
    zone = story.memory["hospital"]
    desk = f"/zones/{zone}/oppositions/nouvelle/"
    paul.follow(f"/zones/{zone}/", desk)
    answer = paul.submit(desk, "opposition", local_id=number, identity_checked=True)
    receipt = parse_qs(urlsplit(str(answer.url)).query).get("recepisse", [""])[0]
    if not receipt:
        raise StepFailed(f"aucun récépissé n'est donné : {Page(answer).text[:400]}")
    if number in answer.text:
        raise StepFailed("la page du récépissé montre le numéro de la personne")
    story.wait(paul, f"{desk}?recepisse={receipt}", lambda page: "en vigueur" in page.text)
    story.memory["opposed"] = [*story.memory.get("opposed", []), number]
    return receipt


def _record(number: str):
    def run(story: Story):
        record_one(story, story.entered("paul"), number)

    return run


STEPS = [Step("enregistre l'opposition d'une personne à l'accueil", "paul", _record(number)) for number in OPPOSED]
