"""The agency doubts, hears, then withdraws Cardélia's accreditation: every access of that organisation ends."""

from deploy.demo.people import Page
from deploy.demo.story import Step, StepFailed, Story, acts

TO_ANSWER = 16  # days: one more than the organisation has to answer
GROUNDS = "L'assurance de responsabilité civile n'est plus en cours : police résiliée par l'assureur."


def _file(story: Story, clerk: str, where: str) -> str:
    """The address of Cardélia's file, found in the clerk's list."""
    listed = story.entered(clerk).page(f"/registre/demandes/?file={where}")
    for row in listed.tree.xpath("//tr[th/a]"):
        if "Cardélia" in row.text_content():
            return row.xpath("th/a/@href")[0]
    raise StepFailed(f"la liste « {where} » de l'agence ne montre pas Cardélia : {listed.text[:400]}")


def decide(clerk: str, act: str, reason: str, *, where: str = "suspendus", told: str = ""):
    def run(story: Story):
        answer = story.entered(clerk).submit(_file(story, clerk, where), f"form-{act}", reason=reason)
        if told and told not in Page(answer).text:
            raise StepFailed(f"la page de l'agence ne dit pas « {told} » : {Page(answer).text[:600]}")

    return run


def read_the_reproach(story: Story):
    lucie = story.entered("lucie")
    lucie.follow("/bureau/", "/registre/observations/")
    if "assurance" not in lucie.page("/registre/observations/").text:
        raise StepFailed("la fondatrice ne lit pas ce qui lui est reproché")


def too_early(story: Story):
    """Before the fifteen days have run, nobody can withdraw: the page offers no such act."""
    page = story.entered("sophie").page(_file(story, "sophie", "suspendus"))
    if page.tree.xpath("//form[@id='form-withdraw']"):
        raise StepFailed("le retrait s'offre avant que l'organisation ait pu répondre")


def everything_refused(story: Story):
    """A new release: every reason at once, the accreditation, the convention, the kill switch."""
    lucie, ref = acts.again(story, "lucie"), story.memory["convention_cardelia"]
    answer = lucie.submit(f"/conventions/{ref}/remises/nouvelle/", "release-form", expect=403)
    # An order to withdraw a patient who objected, if she received one, was due before these sixteen days were over.
    overdue = ("G38",) if "G38" in acts.reasons(Page(answer)) else ()
    story.refused("l'agrément de l'organisation est retiré", "lucie", answer, "G04", "G10", "G14", *overdue)


def desk_task(story: Story):
    """The operator has ten working days to decide whether the convention is terminated."""
    ref = story.memory["convention_cardelia"]
    page = acts.again(story, "claire").page("/bureau/")
    if f"{ref}, Cardélia n'est plus agréé" not in page.text:
        raise StepFailed(f"le bureau de l'opérateur ne montre pas sa tâche pour {ref} : {page.text[:600]}")
    page = story.people["claire"].page(f"/conventions/{ref}/")
    if "suspendue" not in page.text or "Agrément retiré" not in page.text:
        raise StepFailed("la page de la convention ne dit pas qu'elle est suspendue ni pourquoi")


def off_the_list(story: Story):
    line = Page(story.entered("sophie").get("/registre/?q=Cardélia")).text
    if "retiré" not in line or GROUNDS in line:
        raise StepFailed("le registre public ne dit pas le retrait, ou en publie les motifs")


STEPS = [
    Step("suspend l'agrément de Cardélia : un doute n'attend pas", "sophie",
         decide("sophie", "suspend", "L'assureur signale une police résiliée.", where="agrees", told="suspendu")),
    Step("confirme la suspension en second", "karim",
         decide("karim", "confirm", "Courrier de l'assureur lu.", told="Suspension confirmée")),
    Step("invite Cardélia à présenter ses observations", "sophie",
         decide("sophie", "invite", GROUNDS, told="Observations demandées")),
    Step("lit ce qui est reproché, et comment répondre", "lucie", read_the_reproach),
    Step("ne peut pas retirer avant quinze jours", "sophie", too_early),
    Step("laisse passer le délai de réponse (horloge de la démonstration)", "ines",
         acts.advance("ines", days=TO_ANSWER)),
    Step("donne un premier avis pour le retrait", "sophie", decide("sophie", "withdraw", GROUNDS)),
    Step("retire l'agrément en second", "karim", decide("karim", "withdraw", GROUNDS, told="Décision prise")),
    Step("n'a plus accès à rien, et lit tous les motifs", "lucie", everything_refused),
    Step("trouve sur son bureau la convention à résilier ou non", "claire", desk_task),
    Step("vérifie que le registre public dit le retrait, sans ses motifs", "sophie", off_the_list),
]  # fmt: skip
