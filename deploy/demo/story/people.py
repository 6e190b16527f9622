"""Glycéa comes into being: its founder signs up, gets a second factor, founds it, adds a colleague; later it declares
where it will process data. Played by pieces, between the rooms of the registry and of the convention."""

from deploy.demo.story import Page, Step, StepFailed, Story, acts


def invite_samir(story: Story):
    story.people["julie"].submit("/organisation/", email=story.people["samir"].email)


def join(story: Story):
    """Samir answers himself: nobody is made a member of what they did not choose."""
    samir = story.people["samir"]
    answer = samir.submit("/organisation/", "accept")
    if samir.name not in Page(answer).text or "Glycéa" not in Page(answer).text:
        raise StepFailed("Samir n'apparaît pas parmi les membres de Glycéa")


STEPS_SIGNUP = [
    Step("ouvre un compte et installe son second facteur", "julie", acts.sign_up("julie")),
    Step("déclare sa start-up, Glycéa", "julie", acts.found("julie")),
    Step("ouvre un compte et installe son second facteur", "samir", acts.sign_up("samir")),
    Step("invite Samir à rejoindre Glycéa", "julie", invite_samir),
    Step("accepte l'invitation", "samir", join),
]
STEPS_ENVIRONMENT = [
    Step("déclare et atteste l'environnement de traitement", "julie",
         acts.declare_environment("julie", name="Bulle de calcul")),
    Step("crée l'identifiant de la machine", "julie", acts.make_credential("julie")),
]  # fmt: skip
STEPS = [*STEPS_SIGNUP, *STEPS_ENVIRONMENT]
