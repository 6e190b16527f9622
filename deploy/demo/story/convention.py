"""The start-up finds the data, simulates, declares its environment, takes up the offers and signs."""

from deploy.demo.story import Page, Step, StepFailed, Story, acts
from deploy.demo.story.people import STEPS_ENVIRONMENT

NOTICE_DAYS = 8  # the rule asks for 7 full days


def find(story: Story):
    """From the catalogue to the dataset, to its offer."""
    julie, slug, offer = story.entered("julie"), story.memory["stays"], story.memory["stays_offer"]
    julie.follow("/catalogue/", f"/jeux/{slug}/")
    julie.follow(f"/jeux/{slug}/", f"/offres/{offer}/")
    if "Avant de commencer" not in Page(julie.get(f"/offres/{offer}/")).text:
        raise StepFailed("l'offre ne dit ni délai, ni coût, ni sort des résultats")


def sign_and_keep(story: Story):
    acts.sign("julie", "convention")(story)
    ref = story.memory.convention
    story.keep("convention_pdf", f"{ref}.pdf", story.people["julie"].get(f"/conventions/{ref}/document.pdf").content)


def move_clock(story: Story):
    """The standing notice runs: the demo's own logged step of time."""
    story.entered("claire").submit("/demo/horloge/", days=NOTICE_DAYS, hours=0)


STEPS = [
    Step("trouve les séjours au catalogue", "julie", find),
    Step("simule : environnement absent, notice trop récente", "julie",
         acts.simulate("julie", "stays_offer", "G33", "G20", "G12")),
    *STEPS_ENVIRONMENT,
    Step("simule à nouveau : rien ne s'oppose que la notice et la signature", "julie",
         acts.simulate("julie", "stays_offer", "G20", "G12", absent=("G33", "G01", "G04", "G05"))),
    Step("reprend l'offre sur les séjours, approuvée aussitôt", "julie",
         acts.take_up("julie", "stays_offer", "convention",
                       solution="Alerte précoce de réadmission chez les patients diabétiques",
                  purpose_code="diagnosis_support_rnd", basis_article_6="legitimate_interests",
                  basis_article_9="9(2)(j)", ends_on=acts.paper_day(180))),
    Step("signe la convention : elle est active", "julie", sign_and_keep),
    Step("désigne Samir", "julie", acts.name_person("julie", "samir", "convention")),
    Step("confirme Samir", "claire", acts.confirm_person("claire", "convention")),
    Step("suit la formation et signe son engagement de confidentialité", "samir", acts.train("samir", "convention")),
    Step("reprend l'offre sur le trafic", "julie",
         acts.take_up("julie", "traffic_offer", "traffic_convention",
                       solution="Prévision du trafic pour les ambulances",
                  purpose_code="traffic_rnd", ends_on=acts.paper_day(180))),
    Step("signe la convention sur le trafic", "julie", acts.sign("julie", "traffic_convention")),
    Step("désigne Samir pour le trafic", "julie", acts.name_person("julie", "samir", "traffic_convention")),
    Step("confirme Samir pour le trafic", "marc", acts.confirm_person("marc", "traffic_convention")),
    Step("laisse passer le délai de la notice (horloge de la démonstration)", "claire", move_clock),
]  # fmt: skip
