"""The start-up finds the data, simulates, declares its environment, takes up the offers and signs."""

from datetime import date, timedelta

from deploy.demo.story import Page, Step, StepFailed, Story
from deploy.demo.story.people import STEPS_ENVIRONMENT

NOTICE_DAYS = 8  # the rule asks for 7 full days


def _reasons(page: Page) -> list[str]:
    """The rules that the page of the simulation names."""
    return [" ".join(e.text_content().split()) for e in page.tree.xpath("//*[contains(@class, 'reason-foot')]/span[1]")]


def find(story: Story):
    """From the catalogue to the dataset, to its offer."""
    julie, slug, offer = story.entered("julie"), story.memory["stays"], story.memory["stays_offer"]
    julie.follow("/catalogue/", f"/jeux/{slug}/")
    julie.follow(f"/jeux/{slug}/", f"/offres/{offer}/")
    if "Avant de commencer" not in Page(julie.get(f"/offres/{offer}/")).text:
        raise StepFailed("l'offre ne dit ni délai, ni coût, ni sort des résultats")


def _simulate(offer: str, *expected: str, absent: tuple[str, ...] = ()):
    def run(story: Story):
        answer = story.entered("julie").submit(f"/offres/{story.memory[offer]}/simuler/", "simulation")
        said = _reasons(Page(answer))
        missing, surplus = set(expected) - set(said), set(absent) & set(said)
        if missing or surplus:
            raise StepFailed(f"la simulation dit {said} ; attendu {sorted(missing)}, inattendu {sorted(surplus)}")
        story.memory[f"{offer}_simulated"] = said

    return run


def _take_up(offer: str, convention: str, **wanted):
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/demander/"
        story.entered("julie").follow(f"/offres/{story.memory[offer]}/", path)
        answer = story.entered("julie").submit(path, "demande", purpose_kind="experimentation", **wanted)
        if "/conventions/" not in answer.url.path:
            raise StepFailed("la demande n'est pas approuvée : " + " · ".join(Page(answer).errors()))
        story.memory[convention] = answer.url.path.strip("/").split("/")[-1]

    return run


def _sign(convention: str):
    def run(story: Story):
        julie, ref = story.entered("julie"), story.memory[convention]
        julie.follow("/bureau/", f"/conventions/{ref}/signer/")
        answer = julie.submit(f"/conventions/{ref}/signer/", "signer", code=julie.code())
        if "active" not in Page(answer).text:
            raise StepFailed(f"{ref} n'est pas active après la dernière signature")
        if convention == "convention":
            story.keep("convention_pdf", f"{ref}.pdf", julie.get(f"/conventions/{ref}/document.pdf").content)

    return run


def _name(convention: str):
    def run(story: Story):
        julie, path = story.entered("julie"), f"/conventions/{story.memory[convention]}/personnes/"
        julie.follow(f"/conventions/{story.memory[convention]}/", path)
        options = Page(julie.get(path)).tree.xpath("//select[@name='user']/option")
        samir = [o.get("value") for o in options if story.people["samir"].name in o.text_content()]
        if not samir:
            raise StepFailed("Samir n'est pas proposé parmi les membres")
        julie.submit(path, "designer", user=samir[0], role="analyst")

    return run


def _confirm(officer: str, convention: str):
    def run(story: Story):
        person, path = story.entered(officer), f"/conventions/{story.memory[convention]}/personnes/"
        person.follow("/bureau/", path)
        values = Page(person.get(path)).tree.xpath("//button[@name='confirm']/@value")
        answer = person.submit(path, confirm=values[0])
        if "confirmée" not in Page(answer).text:
            raise StepFailed("la personne n'est pas confirmée")

    return run


def move_clock(story: Story):
    """The standing notice runs: the demo's own logged step of time."""
    story.entered("claire").submit("/demo/horloge/", days=NOTICE_DAYS, hours=0)


def _ends(days: int) -> date:
    return date.today() + timedelta(days=days)  # noqa: DTZ011  the demo's clock has not moved yet


STEPS = [
    Step("trouve les séjours au catalogue", "julie", find),
    Step("simule : environnement absent, notice trop récente", "julie",
         _simulate("stays_offer", "G33", "G20", "G12")),
    *STEPS_ENVIRONMENT,
    Step("simule à nouveau : rien ne s'oppose que la notice et la signature", "julie",
         _simulate("stays_offer", "G20", "G12", absent=("G33", "G01", "G04", "G05"))),
    Step("reprend l'offre sur les séjours, approuvée aussitôt", "julie",
         _take_up("stays_offer", "convention", solution="Alerte précoce de réadmission chez les patients diabétiques",
                  purpose_code="diagnosis_support_rnd", basis_article_6="legitimate_interests",
                  basis_article_9="9(2)(j)", ends_on=_ends(180))),
    Step("signe la convention : elle est active", "julie", _sign("convention")),
    Step("désigne Samir", "julie", _name("convention")),
    Step("confirme Samir", "claire", _confirm("claire", "convention")),
    Step("reprend l'offre sur le trafic", "julie",
         _take_up("traffic_offer", "traffic_convention", solution="Prévision du trafic pour les ambulances",
                  purpose_code="traffic_rnd", ends_on=_ends(180))),
    Step("signe la convention sur le trafic", "julie", _sign("traffic_convention")),
    Step("désigne Samir pour le trafic", "julie", _name("traffic_convention")),
    Step("confirme Samir pour le trafic", "marc", _confirm("marc", "traffic_convention")),
    Step("laisse passer le délai de la notice (horloge de la démonstration)", "claire", move_clock),
]  # fmt: skip
