"""Glycéa comes into being: its founder signs up, gets a second factor, founds it, adds a colleague; later it declares
where it will process data. Played by pieces, between the rooms of the registry and of the convention."""

from datetime import date, timedelta
from urllib.parse import urlsplit

import pyrage

from deploy.demo import cast
from deploy.demo.story import Page, Step, StepFailed, Story

NETWORKS = "127.0.0.1/32"  # the demo's downloads come from this machine


def _letter(story: Story):
    """Reads an address's last letter on the demo's own page, as a visitor would."""

    def read(address: str) -> str:
        page = story.people["julie"].page("/demo/")
        for letter in page.tree.xpath("//*[contains(@class, 'mail')][@data-to]"):
            if letter.get("data-to") == address:
                return " ".join(letter.xpath(".//*[contains(@class, 'mail-code')]")[0].text_content().split())
        raise StepFailed(f"la page /demo/ ne montre aucun message pour {address}")

    return read


def _sign_up(key: str):
    def run(story: Story):
        person = story.people[key]
        person.sign_up(_letter(story), full_name=person.name)
        return person.enrol()

    return run


def found(story: Story):
    line = next(line for line in cast.DIRECTORY if line["name"] == "Glycéa")
    julie = story.people["julie"]
    julie.follow("/organisation/", "/organisation/nouvelle/")
    julie.submit(
        "/organisation/nouvelle/",
        name=line["name"],
        siren=line["siren"],
        legal_form="société par actions simplifiée",
        mandate="statuts, article 12",
        dpo_email=f"dpo@{cast.DOMAINS['glycea']}",
    )


def invite_samir(story: Story):
    story.people["julie"].submit("/organisation/", email=story.people["samir"].email)


def join(story: Story):
    """Samir answers himself: nobody is made a member of what they did not choose."""
    samir = story.people["samir"]
    answer = samir.submit("/organisation/", "accept")
    if samir.name not in Page(answer).text or "Glycéa" not in Page(answer).text:
        raise StepFailed("Samir n'apparaît pas parmi les membres de Glycéa")


def declare_environment(story: Story):
    """The key is made on Julie's side; only its public half goes to the site."""
    identity = pyrage.x25519.Identity.generate()
    kept = story.var / "recipient.txt"
    kept.touch(mode=0o600)
    kept.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    story.artefacts["recipient_identity"] = kept
    julie = story.people["julie"]
    julie.follow("/organisation/", "/environnements/nouveau/")
    answer = julie.submit(
        "/environnements/nouveau/",
        name="Bulle de calcul",
        klass="secure",
        host="Hébergeur de santé certifié",
        country="FR",
        networks=NETWORKS,
        age_recipient=str(identity.to_public()),
        hds_certificate_until=(date.today() + timedelta(days=900)).isoformat(),  # noqa: DTZ011  a paper's own date
        attest=True,
    )
    story.memory["environment"] = int(urlsplit(str(answer.url)).path.strip("/").split("/")[-1])


def make_credential(story: Story):
    path = f"/environnements/{story.memory['environment']}/"
    answer = story.people["julie"].submit(path, "credential", name="extraction")
    shown = Page(answer).tree.xpath("//*[@id='credential_secret']")
    if not shown:
        raise StepFailed("la page ne montre pas le secret de la machine")
    story.memory["credential_secret"] = shown[0].text_content().strip()
    again = Page(story.people["julie"].get(path)).tree.xpath("//*[@id='credential_secret']")
    if again:
        raise StepFailed("le secret de la machine se montre une deuxième fois")


STEPS_SIGNUP = [
    Step("ouvre un compte et installe son second facteur", "julie", _sign_up("julie")),
    Step("déclare sa start-up, Glycéa", "julie", found),
    Step("ouvre un compte et installe son second facteur", "samir", _sign_up("samir")),
    Step("invite Samir à rejoindre Glycéa", "julie", invite_samir),
    Step("accepte l'invitation", "samir", join),
]
STEPS_ENVIRONMENT = [
    Step("déclare et atteste l'environnement de traitement", "julie", declare_environment),
    Step("crée l'identifiant de la machine", "julie", make_credential),
]
STEPS = [*STEPS_SIGNUP, *STEPS_ENVIRONMENT]
