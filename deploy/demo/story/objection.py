"""A patient objects; the release that holds them is refused, until it is rebuilt without them.

First a patient who is in Cardélia's release and never was in Glycéa's: only the first is refused. Then one who is in
both: Glycéa's is refused, rebuilt without the patient, and each start-up is ordered to remove its own pseudonym.
"""

import csv
import gzip
import hmac
import json

import httpx

from deploy.demo.story import Page, Step, StepFailed, Story, acts
from deploy.demo.story.cardelia import pseudonyms
from deploy.demo.story.opposition import record_one


def _key(story: Story, inputs: str) -> str:
    return json.loads(story.artefacts[inputs]["keys"].read_text())["pseudonym_key"]


def _pseudonym(key: str, local_id: str) -> str:
    return hmac.digest(key.encode(), local_id.encode(), "sha256").hex()[:32]


def choose(story: Story):
    """With what the demo gives away: who is in which release. The desk itself never knows."""
    glycea, cardelia = (_key(story, name) for name in ("release_inputs", "release_inputs_cardelia"))
    theirs = pseudonyms(acts.opened(story, story.artefacts["release_file"].read_bytes()))
    hers = pseudonyms(acts.opened(story, story.artefacts["release_file_cardelia"].read_bytes(), kept_as="_cardelia"))
    with gzip.open(story.data / "diabetic_data.csv.gz", "rt", newline="") as lines:
        patients = sorted({row["patient_nbr"] for row in csv.DictReader(lines)})
    in_hers = [one for one in patients if _pseudonym(cardelia, one) in hers]
    both = next(one for one in in_hers if _pseudonym(glycea, one) in theirs)
    only = next((one for one in in_hers if _pseudonym(glycea, one) not in theirs), None)
    if only is None:
        raise StepFailed("aucun patient n'est chez Cardélia sans être chez Glycéa")
    story.memory["patient_in_both"], story.memory["patient_at_cardelia"] = both, only


def record(name: str):
    def run(story: Story):
        record_one(story, acts.again(story, "paul"), story.memory[name])

    return run


def refused_to_the_machine(who: str, release: str, *, kept_as: str = "", fresh: bool = False):
    """A new order, and the machine is told G26 and nothing else."""

    def run(story: Story):
        if fresh:
            acts.again(story, who)
        acts.give_order(who, release, "order_after_objection")(story)
        answer = acts.pull(story, story.memory["order_after_objection"], kept_as=kept_as, status=403)
        _only_g26(story, who, answer)

    return run


def _only_g26(story: Story, who: str, answer: httpx.Response):
    told = answer.json()
    rules = [reason["code"] for reason in told["reasons"]]
    if rules != ["G26"]:
        raise StepFailed(f"refus attendu par G26 seul, la machine lit {rules} : {answer.text[:400]}")
    story.refusals.append({"step": "une personne s'est opposée depuis la remise", "who": who, "rules": rules})


def untouched(story: Story):
    """Glycéa's release never held that patient: it is still served."""
    acts.again(story, "samir")
    acts.give_order("samir", "release", "order_untouched")(story)
    acts.pull(story, story.memory["order_untouched"])


def rebuild(story: Story):
    """Asked by the person who waits, unless the periodic job was quicker."""
    samir, path = story.people["samir"], f"/remises/{story.memory.release}/"
    page = Page(samir.get(path))
    if page.tree.xpath("//form[@id='rebuild-form']"):
        answer = samir.submit(path, "rebuild-form")
        story.memory["rebuilt"] = answer.url.path.strip("/").split("/")[-1]
        return
    newer = page.tree.xpath("//a[@id='newer']/@href")
    if not newer:
        raise StepFailed(f"la page ne propose ni de refaire la remise ni sa suite : {page.text[:400]}")
    story.memory["rebuilt"] = newer[0].strip("/").split("/")[-1]


def pull_rebuilt(story: Story):
    acts.give_order("samir", "rebuilt", "order_rebuilt")(story)
    answer = acts.pull(story, story.memory["order_rebuilt"])
    story.keep("release_file_rebuilt", answer.headers["content-disposition"].split('"')[1], answer.content)
    manifest = story.people["samir"].get(f"/remises/{story.memory['rebuilt']}/manifeste.json")
    story.keep("release_manifest_rebuilt", "manifeste-refait.json", manifest.content)
    gone = _pseudonym(_key(story, "release_inputs"), story.memory["patient_in_both"])
    if gone in pseudonyms(acts.opened(story, answer.content)):
        raise StepFailed("la remise refaite contient encore la personne")
    told = acts.release_inputs(story, story.memory["rebuilt"], "rebuilt")
    story.artefacts["release_inputs_rebuilt"] = told["paths"]
    former = Page(story.people["samir"].get(f"/remises/{story.memory.release}/"))
    if former.tree.xpath("//*[@id='state']/@data-status") != ["withdrawn"]:
        raise StepFailed("l'ancienne remise n'est pas retirée")


def _ordered(story: Story, who: str) -> tuple[str, set[str]]:
    """The last withdrawal order of the start-up of `who`: its page, and the pseudonyms it holds."""
    person = story.entered(who)

    def there(answer):
        return Page(answer).links("/ordres-de-retrait/")

    listed = Page(story.wait(person, "/bureau/", there, timeout=75))
    link = listed.links("/ordres-de-retrait/")[-1]
    page = person.page(link)
    return link, {" ".join(e.text_content().split()) for e in page.tree.xpath("//*[@id='withdrawn-pseudonyms']//code")}


def orders(story: Story):
    """Two conventions, two different pseudonyms, of the one patient who is in both."""
    local_id = story.memory["patient_in_both"]
    link, hers = _ordered(story, "lucie")
    theirs_link, theirs = _ordered(story, "julie")
    cardelia, glycea = _key(story, "release_inputs_cardelia"), _key(story, "release_inputs")
    held = set()
    for one in Page(story.entered("lucie").get("/ordres-de-retrait/")).links("/ordres-de-retrait/"):
        page = story.people["lucie"].page(one)
        held |= {" ".join(e.text_content().split()) for e in page.tree.xpath("//*[@id='withdrawn-pseudonyms']//code")}
    if _pseudonym(cardelia, local_id) not in held | hers:
        raise StepFailed(f"l'ordre de Cardélia ne porte pas son propre pseudonyme ({link})")
    if theirs != {_pseudonym(glycea, local_id)} or (held | hers) & theirs:
        raise StepFailed("l'ordre de Glycéa porte autre chose que son propre pseudonyme")
    story.memory["withdrawal_order"] = theirs_link


def attest(story: Story):
    answer = story.entered("julie").submit(
        story.memory["withdrawal_order"], "attestation",
        text="Lignes retirées de la bulle et de ses deux sauvegardes par Samir Diallo.", done=True,
    )  # fmt: skip
    if "attesté" not in Page(answer).text:
        raise StepFailed("la page ne dit pas le retrait attesté")


def trace(story: Story):
    """The person asks where their data went: the operator answers, no experimenter learns of it."""
    paul, slug = acts.again(story, "paul"), story.memory["hospital"]
    paul.follow(f"/zones/{slug}/", f"/zones/{slug}/traces/")
    answer = paul.submit(
        f"/zones/{slug}/traces/", "trace", local_id=story.memory["patient_in_both"], identity_checked=True
    )
    path = answer.url.path

    def over(answer):
        return Page(answer).tree.xpath("//*[@id='inquiry']/@data-status") != ["waiting"]

    found = Page(story.wait(paul, path, over))
    links = found.links("/remises/")
    for name in ("release", "release_cardelia"):
        if not any(story.memory[name] in link for link in links):
            raise StepFailed(f"la recherche ne trouve pas la remise {name} : {found.text[:400]}")
    story.people["lucie"].get(path, expect=404)


STEPS = [
    Step("choisit deux patients, l'un dans une seule remise, l'autre dans deux (démonstration)", "paul", choose),
    Step("enregistre l'opposition du premier", "paul", record("patient_at_cardelia")),
    Step("voit sa machine refusée : une personne s'est opposée", "lucie",
         refused_to_the_machine("lucie", "release_cardelia", kept_as="_cardelia", fresh=True)),
    Step("reçoit toujours la sienne, où cette personne n'a jamais été", "samir", untouched),
    Step("enregistre l'opposition du second", "paul", record("patient_in_both")),
    Step("laisse passer la nuit (horloge de la démonstration)", "claire", acts.advance("claire", days=1)),
    Step("voit sa machine refusée le lendemain", "samir", refused_to_the_machine("samir", "release", fresh=True)),
    Step("fait refaire la remise sans attendre", "samir", rebuild),
    Step("suit la nouvelle préparation", "samir", acts.wait_release("samir", "rebuilt")),
    Step("reçoit la remise refaite : la personne n'y est plus", "samir", pull_rebuilt),
    Step("reçoit un ordre de retrait, d'un autre pseudonyme que celui de Glycéa", "lucie", orders),
    Step("atteste le retrait chez Glycéa", "julie", attest),
    Step("dit à la personne où sont allées ses données", "paul", trace),
]  # fmt: skip
