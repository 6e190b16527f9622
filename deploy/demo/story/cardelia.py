"""A second start-up on the same patients: other pseudonyms, and a leaked line traced to its convention."""

import io
from urllib.parse import urlsplit

from deploy.demo.story import Page, Step, StepFailed, Story, acts

LEAKED = 3  # lines of her file that are found outside


def table(clear: bytes) -> tuple[list[str], list[tuple]]:
    """Names and rows of an opened release."""
    import tempfile

    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as engine:
        file.write(clear)
        file.flush()
        found = engine.execute("SELECT * FROM read_parquet(?)", [file.name])
        return [column[0] for column in found.description], found.fetchall()


def pseudonyms(clear: bytes) -> set[str]:
    names, rows = table(clear)
    return {row[names.index("pseudonym")] for row in rows}


def ask(story: Story):
    """Fewer columns than Glycéa: what her solution needs and no more."""
    lucie, ref = acts.again(story, "lucie"), story.memory["convention_cardelia"]
    path = f"/conventions/{ref}/remises/nouvelle/"
    lucie.follow(f"/conventions/{ref}/", path)
    answer = lucie.submit(path, "release-form", columns=COLUMNS)
    if "/remises/" not in answer.url.path:
        raise StepFailed("la remise n'est pas permise : " + " · ".join(Page(answer).errors()))
    story.memory["release_cardelia"] = urlsplit(str(answer.url)).path.strip("/").split("/")[-1]


COLUMNS = ["patient_nbr", "gender", "age", "time_in_hospital", "num_medications", "diag_1", "insulin", "readmitted"]


def pull(story: Story):
    answer = acts.pull(story, story.memory["order_cardelia"], kept_as="_cardelia")
    story.keep("release_file_cardelia", answer.headers["content-disposition"].split('"')[1], answer.content)
    manifest = story.entered("lucie").get(f"/remises/{story.memory['release_cardelia']}/manifeste.json")
    story.keep("release_manifest_cardelia", "manifeste-cardelia.json", manifest.content)


def give_inputs(story: Story):
    """In the demo alone, as for Glycéa: the second program recomputes this release too."""
    told = acts.release_inputs(story, story.memory["release_cardelia"], "cardelia")
    story.artefacts["release_inputs_cardelia"] = told["paths"]


def compare(story: Story):
    """The same patients, and no pseudonym in common with Glycéa's release."""
    hers = acts.opened(story, story.artefacts["release_file_cardelia"].read_bytes(), kept_as="_cardelia")
    theirs = acts.opened(story, story.artefacts["release_file"].read_bytes())
    own, others = pseudonyms(hers), pseudonyms(theirs)
    if not own or own & others:
        raise StepFailed(f"{len(own & others)} pseudonymes sont communs à deux conventions")
    _names, rows = table(hers)
    text = io.StringIO()
    for row in rows[:LEAKED]:
        print(*row, sep=",", file=text)
    story.memory["leaked_lines"] = text.getvalue()


def trace_leak(who: str):
    """Lines found outside: the operator learns from which convention, and from no other."""

    def run(story: Story):
        person, slug = story.entered(who), story.memory["hospital"]
        person.follow(f"/zones/{slug}/", f"/zones/{slug}/fuites/")
        answer = person.submit(f"/zones/{slug}/fuites/", "leak", lines=story.memory["leaked_lines"])

        def over(answer):
            return Page(answer).tree.xpath("//*[@id='inquiry']/@data-status") != ["waiting"]

        found = Page(story.wait(person, answer.url.path, over))
        if story.memory["convention_cardelia"] not in found.text or story.memory["convention"] in found.text:
            raise StepFailed(f"les lignes trouvées ne sont pas rendues à leur convention : {found.text[:600]}")

    return run


STEPS = [
    Step("trouve la même offre et la simule", "lucie", acts.simulate("lucie", "stays_offer", "G12", absent=("G33",))),
    Step("reprend l'offre sur les mêmes séjours", "lucie",
         acts.take_up("lucie", "stays_offer", "convention_cardelia",
                      solution="Dose d'insuline conseillée à la sortie, relue par le médecin",
                      purpose_code="diagnosis_support_rnd", basis_article_6="legitimate_interests",
                      basis_article_9="9(2)(j)", ends_on=acts.paper_day(180))),
    Step("signe la convention de Cardélia", "lucie", acts.sign("lucie", "convention_cardelia")),
    Step("se désigne elle-même", "lucie", acts.name_person("lucie", "lucie", "convention_cardelia")),
    Step("confirme Lucie", "claire", acts.confirm_person("claire", "convention_cardelia")),
    Step("suit la formation et s'engage à la confidentialité", "lucie", acts.train("lucie", "convention_cardelia")),
]  # fmt: skip

# Played after the standing notices have run.
RELEASES = [
    Step("demande une remise des mêmes patients, avec moins de colonnes", "lucie", ask),
    Step("suit sa préparation", "lucie", acts.wait_release("lucie", "release_cardelia")),
    Step("donne à sa machine l'ordre de la tirer", "lucie",
         acts.give_order("lucie", "release_cardelia", "order_cardelia")),
    Step("reçoit le fichier scellé de Cardélia", "lucie", pull),
    Step("vérifie qu'aucun pseudonyme n'est celui de Glycéa", "lucie", compare),
    Step("remet à un inconnu de quoi recalculer aussi celle-ci (démonstration)", "lucie", give_inputs),
    Step("rend des lignes trouvées dehors à leur convention", "nadia", trace_leak("nadia")),
]  # fmt: skip
