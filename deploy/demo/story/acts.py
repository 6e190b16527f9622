"""What several rooms do, each time as the person named: sign up, ask for an accreditation, publish an offer, take it
up, sign, ask for a release. Every function gives the `run` of a step; `who` is a key of the cast."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyrage

from consent import lessons
from deploy.demo import cast
from deploy.demo.story import Page, Step, StepFailed, Story

Run = Callable[[Story], object]

ROOT = Path(__file__).resolve().parent.parent.parent.parent
LONGEST = 60  # seconds for a build on a busy machine
NETWORKS = "127.0.0.1/32"  # the demo's downloads come from this machine


def paper_day(days: int) -> date:
    """A paper's own date, `days` from the calendar on the wall."""
    return date.today() + timedelta(days=days)  # noqa: DTZ011  a person reads the calendar on the wall


def demo_day(story: Story, days: int = 0) -> date:
    """The day of the demo's clock, as its page tells it, and `days` more."""
    shown = story.people["anne"].page("/demo/").tree.xpath("//time[@id='demo-now']/@datetime")
    if not shown:
        raise StepFailed("la page /demo/ ne dit pas le jour de l'horloge")
    return date.fromisoformat(shown[0][:10]) + timedelta(days=days)


def again(story: Story, who: str):
    """`who`, signed in anew: the clock has moved since they last gave their second factor."""
    person = story.people[who]
    person.sign_in()
    return person


def advance(who: str, *, days: int = 0, hours: int = 0) -> Run:
    """Move the demo's clock: a logged act."""

    def run(story: Story):
        again(story, who).submit("/demo/horloge/", days=days, hours=hours)

    return run


# Becoming somebody


def _letter(story: Story):
    """Reads an address's last letter on the demo's own page, as a visitor would."""

    def read(address: str) -> str:
        page = story.people["anne"].page("/demo/")
        for letter in page.tree.xpath("//*[contains(@class, 'mail')][@data-to]"):
            if letter.get("data-to") == address:
                return " ".join(letter.xpath(".//*[contains(@class, 'mail-code')]")[0].text_content().split())
        raise StepFailed(f"la page /demo/ ne montre aucun message pour {address}")

    return read


def sign_up(who: str) -> Run:
    def run(story: Story):
        person = story.people[who]
        person.sign_up(_letter(story), full_name=person.name)
        return person.enrol()

    return run


def found(who: str) -> Run:
    """Declare the start-up of `who`, as the companies directory knows it."""

    def run(story: Story):
        body = cast.character(who).body
        line = next(line for line in cast.DIRECTORY if line["name"] == cast.NEWCOMERS[body])
        founder = story.people[who]
        founder.follow("/organisation/", "/organisation/nouvelle/")
        founder.submit(
            "/organisation/nouvelle/", name=line["name"], siren=line["siren"],
            legal_form="société par actions simplifiée", mandate="statuts, article 12",
            dpo_email=f"dpo@{cast.DOMAINS[body]}",
        )  # fmt: skip

    return run


def ask_accreditation(who: str, *, domains: list[str], zone_kinds: list[str], **evidence) -> Run:
    """The scope first, then the evidence this scope asks for; all checks must pass. `evidence` replaces fields."""

    def run(story: Story):
        founder, until = story.entered(who), paper_day(800)
        founder.follow("/registre/", "/registre/demande/")
        founder.submit("/registre/demande/", "perimetre", domains=domains, zone_kinds=zone_kinds)
        papers = {
            "mandate": "statuts, article 12", "insurer": "Mutuelle des jeunes entreprises",
            "insurance_policy": f"RC-2026-{who}", "insurance_until": until,
            "dpo_contact": f"dpo@{cast.DOMAINS[cast.character(who).body]}",
            "record_extract": "Fiche 1 : essais sur données pseudonymisées, douze mois.",
            "questionnaire": ["two_factors", "encryption", "access_review", "backups", "incident"],
            "hosting_country": "FR", "hosting_name": "Hébergeur de santé certifié", "hds_until": until,
            "mr_number": "MR-004, intention", "commitment": True, **evidence,
        }  # fmt: skip
        shown = Page(founder.get("/registre/demande/")).tree.xpath("//form[@id='depot']//@name")
        answer = founder.submit(
            "/registre/demande/", "depot", **{name: value for name, value in papers.items() if name in shown}
        )
        if "Tous les contrôles sont passés" not in Page(answer).text:
            raise StepFailed("les contrôles automatiques ne passent pas : " + " · ".join(Page(answer).errors()))

    return run


def accredit(clerk: str, *, second: bool) -> Run:
    def run(story: Story):
        person = story.entered(clerk)
        links = Page(person.get("/bureau/")).links("/registre/demandes/")
        if not links:
            raise StepFailed("le bureau de l'agence ne montre pas la demande")
        answer = person.submit(links[0], "form-accredit", reason="Dossier complet, contrôles conformes.")
        if second and "Décision prise" not in Page(answer).text:
            raise StepFailed("deux agents ont décidé et l'agrément n'est pas prononcé")

    return run


def accredited(who: str) -> Run:
    """The line of the start-up of `who` is on the public list, for anybody: page and JSON."""

    def run(story: Story):
        visitor, name = story.entered(who), cast.NEWCOMERS[cast.character(who).body]
        if name not in Page(visitor.get(f"/registre/?q={name}")).text:
            raise StepFailed("le registre public ne montre pas la start-up")
        answer = visitor.get("/registre.json")
        lines = {line["name"]: line for line in json.loads(answer.content)["entries"]}
        if lines.get(name, {}).get("status") != "accredited":
            raise StepFailed("le registre en JSON ne dit pas que la start-up est agréée")
        story.keep("registry_json", "registre.json", answer.content)

    return run


def declare_environment(who: str, *, name: str, kept_as: str = "", klass: str = "secure") -> Run:
    """Declare and attest where the start-up of `who` processes data. The key is made on its side: only the public
    half goes to the site. `story.memory["environment" + kept_as]` is its number, `recipient + kept_as` the file."""

    def run(story: Story):
        identity = pyrage.x25519.Identity.generate()
        kept = story.var / f"recipient{kept_as}.txt"
        kept.touch(mode=0o600)
        kept.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
        story.artefacts["recipient_identity" + kept_as] = kept
        founder = story.people[who]
        founder.follow("/organisation/", "/environnements/nouveau/")
        answer = founder.submit(
            "/environnements/nouveau/", name=name, klass=klass, host="Hébergeur de santé certifié", country="FR",
            networks=NETWORKS, age_recipient=str(identity.to_public()), hds_certificate_until=paper_day(900),
            host_contract="contrat d'hébergement du 5 janvier 2026", attest=True,
        )  # fmt: skip
        story.memory["environment" + kept_as] = int(urlsplit(str(answer.url)).path.strip("/").split("/")[-1])

    return run


def make_credential(who: str, *, kept_as: str = "") -> Run:
    """The machine's secret is shown once; `story.memory["credential_secret" + kept_as]` holds it."""

    def run(story: Story):
        path = f"/environnements/{story.memory['environment' + kept_as]}/"
        answer = story.people[who].submit(path, "credential", name="extraction")
        shown = Page(answer).tree.xpath("//*[@id='credential_secret']")
        if not shown:
            raise StepFailed("la page ne montre pas le secret de la machine")
        story.memory["credential_secret" + kept_as] = shown[0].text_content().strip()
        if Page(story.people[who].get(path)).tree.xpath("//*[@id='credential_secret']"):
            raise StepFailed("le secret de la machine se montre une deuxième fois")

    return run


# An offer, decided once


def draft_offer(who: str, dataset: str, offer: str, reasons: dict[str, str], **conditions) -> Run:
    """The officer fills the offer's form: one reason a column supplied, the conditions once."""

    def run(story: Story):
        officer, slug = story.entered(who), story.memory[dataset]
        officer.follow(f"/jeux/{slug}/", f"/jeux/{slug}/offres/nouvelle/")
        page = officer.page(f"/jeux/{slug}/offres/nouvelle/")
        fields: dict[str, Any] = {}
        for name, why in reasons.items():
            include = page.tree.xpath(f"//tr[th/code[text()='{name}']]//input[contains(@name, '-include')]/@name")
            if not include:
                raise StepFailed(f"la colonne {name} n'est pas proposée à l'offre de {slug}")
            prefix = include[0].rpartition("-")[0]
            fields |= {f"{prefix}-include": True, f"{prefix}-justification": why}
            if page.tree.xpath(f"//input[@name='{prefix}-approves_sensitive']"):
                fields[f"{prefix}-approves_sensitive"] = True
        answer = officer.submit(
            f"/jeux/{slug}/offres/nouvelle/", "offre",
            **{"starts_on": paper_day(0), "ends_on": paper_day(365), **conditions, **fields},
        )  # fmt: skip
        story.memory[offer] = int(answer.url.path.strip("/").split("/")[-1])

    return run


def submit_offer(who: str, offer: str) -> Run:
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/"
        story.entered(who).follow(path, f"{path}soumettre/")
        story.entered(who).submit(f"{path}soumettre/", "soumettre")

    return run


def give_opinion(who: str, offer: str, text: str) -> Run:
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/avis/"
        story.entered(who).follow("/bureau/", path)
        story.entered(who).submit(path, "avis", is_favourable="yes", text=text)

    return run


def sign_offer(who: str, offer: str) -> Run:
    """The standing mandate: the legal representative signs the offer's terms."""

    def run(story: Story):
        signatory, path = story.entered(who), f"/offres/{story.memory[offer]}/mandat/"
        signatory.follow("/bureau/", path)
        signatory.submit(path, "mandat", code=signatory.code())

    return run


def publish_offer(who: str, offer: str, *, second: bool) -> Run:
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/publier/"
        story.entered(who).follow("/bureau/", path)
        answer = story.entered(who).submit(path, "publier", reason="Termes conformes à l'AIPD.")
        words = Page(answer).text
        if second and "publiée" not in words:
            raise StepFailed(f"l'offre n'est pas publiée après deux accords : {words[:300]}")

    return run


def offer_steps(
    offer: str, *, told: str, draft: Run, first: str, second: str, signs: str, steward: str, dpo: str,
    steward_says: str, dpo_says: str,
) -> list[Step]:  # fmt: skip
    """The seven steps of an offer: `told` names it in French after "sur" ("l'offre sur les recharges")."""
    return [
        Step(f"prépare l'offre sur {told}", first, draft),
        Step(f"soumet l'offre sur {told}", first, submit_offer(first, offer)),
        Step(
            f"donne l'avis du responsable des données sur {told}", steward, give_opinion(steward, offer, steward_says)
        ),
        Step(f"donne l'avis du DPO sur {told}", dpo, give_opinion(dpo, offer, dpo_says)),
        Step(f"signe les termes de l'offre sur {told}", signs, sign_offer(signs, offer)),
        Step(f"donne un premier accord à l'offre sur {told}", first, publish_offer(first, offer, second=False)),
        Step(f"publie en second l'offre sur {told}", second, publish_offer(second, offer, second=True)),
    ]


# A convention


def reasons(page: Page) -> list[str]:
    """The rules that a page names, in order."""
    return [" ".join(e.text_content().split()) for e in page.tree.xpath("//*[contains(@class, 'reason-foot')]/span[1]")]


def simulate(who: str, offer: str, *expected: str, absent: tuple[str, ...] = ()) -> Run:
    def run(story: Story):
        answer = story.entered(who).submit(f"/offres/{story.memory[offer]}/simuler/", "simulation")
        said = reasons(Page(answer))
        missing, surplus = set(expected) - set(said), set(absent) & set(said)
        if missing or surplus:
            raise StepFailed(f"la simulation dit {said} ; attendu {sorted(missing)}, inattendu {sorted(surplus)}")
        story.memory[f"{offer}_simulated"] = said

    return run


def take_up(who: str, offer: str, convention: str, **wanted) -> Run:
    """Take the offer up unchanged; `story.memory[convention]` is the reference of the convention made."""

    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/demander/"
        story.entered(who).follow(f"/offres/{story.memory[offer]}/", path)
        answer = story.entered(who).submit(path, "demande", purpose_kind="experimentation", **wanted)
        if "/conventions/" not in answer.url.path:
            raise StepFailed("la demande n'est pas approuvée : " + " · ".join(Page(answer).errors()))
        story.memory[convention] = answer.url.path.strip("/").split("/")[-1]

    return run


def sign(who: str, convention: str, *, last: bool = True) -> Run:
    """Sign from the desk; the last signature makes the convention active."""

    def run(story: Story):
        person, ref = story.entered(who), story.memory[convention]
        person.follow("/bureau/", f"/conventions/{ref}/signer/")
        answer = person.submit(f"/conventions/{ref}/signer/", "signer", code=person.code())
        if last and "active" not in Page(answer).text:
            raise StepFailed(f"{ref} n'est pas active après la dernière signature")

    return run


def name_person(who: str, whom: str, convention: str) -> Run:
    def run(story: Story):
        person, path = story.entered(who), f"/conventions/{story.memory[convention]}/personnes/"
        person.follow(f"/conventions/{story.memory[convention]}/", path)
        options = Page(person.get(path)).tree.xpath("//select[@name='user']/option")
        found = [o.get("value") for o in options if story.people[whom].name in o.text_content()]
        if not found:
            raise StepFailed(f"{story.people[whom].name} n'est pas proposé parmi les membres")
        person.submit(path, "designer", user=found[0], role="analyst")

    return run


def confirm_person(officer: str, convention: str) -> Run:
    def run(story: Story):
        person, path = story.entered(officer), f"/conventions/{story.memory[convention]}/personnes/"
        person.follow("/bureau/", path)
        values = Page(person.get(path)).tree.xpath("//button[@name='confirm']/@value")
        answer = person.submit(path, confirm=values[0])
        if "confirmée" not in Page(answer).text:
            raise StepFailed("la personne n'est pas confirmée")

    return run


def train(who: str, convention: str) -> Run:
    """What G03 asks of a named person before personal data open: the training of each family of domains, then the
    undertaking of this convention. From their desk; once confirmed or before. It costs `who` one TOTP code when
    they gave none in the last minutes.

    A room whose convention is on personal data adds this step for each person it names, else G03 refuses them."""

    def run(story: Story):
        person, ref = story.entered(who), story.memory[convention]
        ready = f"/conventions/{ref}/habilitation/"
        right = {question["code"]: question["right"] for question in lessons.load().questions}
        for link in person.follow("/bureau/", ready).links(f"/conventions/{ref}/formation/"):
            page = person.page(link)
            while onward := [one for one in page.links("page=") if one.endswith(f"={_page(page) + 1}")]:
                page = person.page(onward[0])
            person.submit(str(page.response.url), "questions", **right)
        path = f"/conventions/{ref}/engagement/"
        asked = person.follow(ready, path).tree.xpath("//form[@id='engagement']//@name")
        fresh: dict[str, Any] = {"code": person.code()} if "code" in asked else {}
        answer = person.submit(path, "engagement", typed="Lu et compris, je m'engage", **fresh)
        if "Vous êtes en règle" not in Page(answer).text:
            raise StepFailed("la page ne dit pas la personne en règle après la formation et l'engagement")

    return run


def _page(page: Page) -> int:
    """The number of a page of the training, as its address says it."""
    return int(page.response.url.params.get("page", "1"))


# A release


def ask_release(who: str, convention: str, release: str) -> Run:
    """Ask with what the form proposes; `story.memory[release]` is the release's number."""

    def run(story: Story):
        person, ref = story.entered(who), story.memory[convention]
        path = f"/conventions/{ref}/remises/nouvelle/"
        person.follow(f"/conventions/{ref}/", path)
        answer = person.submit(path, "release-form")
        if "/remises/" not in answer.url.path:
            raise StepFailed("la remise n'est pas permise : " + " · ".join(Page(answer).errors()))
        story.memory[release] = urlsplit(str(answer.url)).path.strip("/").split("/")[-1]

    return run


def wait_release(who: str, release: str, *, until: str = "ready") -> Run:
    """Follow the build to its end. `until` is the state that must come: "ready", or "failed" where it must fail."""

    def run(story: Story):
        person, number = story.entered(who), story.memory[release]
        seen: set[str] = set()

        def over(answer: httpx.Response):
            page = Page(answer)
            seen.update(" ".join(p.text_content().split()) for p in page.tree.xpath("//*[@class='progress']/p"))
            return page.tree.xpath("//*[@id='state']/@data-status")[0] in ("ready", "failed")

        page = Page(story.wait(person, f"/remises/{number}/", over, timeout=LONGEST))
        if page.tree.xpath("//*[@id='state']/@data-status")[0] != until:
            raise StepFailed(f"la préparation ne finit pas par {until} : " + " · ".join(page.errors()))
        story.memory[f"{release}_steps_seen"] = len(seen)

    return run


def give_order(who: str, release: str, order: str) -> Run:
    """Give the environment the one-use order to pull the release."""

    def run(story: Story):
        person, number = story.entered(who), story.memory[release]
        answer = person.submit(f"/remises/{number}/", "order-form")
        address = Page(answer).tree.xpath("//*[@id='orders']//code/text()")
        if not address:
            raise StepFailed("la page ne montre pas l'ordre donné")
        story.memory[order] = address[0].strip("/").split("/")[-1]

    return run


def pull(story: Story, order: str, *, kept_as: str = "", status: int = 200) -> httpx.Response:
    """The environment's machine, alone: no person, no cookie, one secret and one order."""
    with httpx.Client(trust_env=False, timeout=60) as machine:
        answer = machine.get(
            f"{story.delivery}/ordres/{order}/",
            headers={"Authorization": f"Terrain-Machine {story.memory['credential_secret' + kept_as]}"},
        )
    story.answer = answer
    if answer.status_code != status:
        raise StepFailed(f"le serveur de remise a répondu {answer.status_code} : {answer.text[:600]}")
    return answer


def opened(story: Story, sealed: bytes, *, kept_as: str = "") -> bytes:
    """The clear bytes, opened with the identity that the start-up made for itself."""
    path: Path = story.artefacts["recipient_identity" + kept_as]
    identity = pyrage.x25519.Identity.from_str(path.read_text().splitlines()[1])
    return pyrage.decrypt(sealed, [identity])


def release_inputs(story: Story, release: str, folder: str = "") -> dict:
    """In the demo alone: what a stranger needs to recompute `release`, as {"paths": ..., "figures": ...}."""
    from deploy.demo.start import DATABASE, Demo
    from deploy.postgres import Cluster

    port = urlsplit(story.site).port
    if port is None:
        raise StepFailed("l'adresse du site ne dit pas son port")
    demo = Demo(story.var, port)
    demo.load_secrets()
    worker = demo.environment(
        Cluster(story.var).url("terrain_app", DATABASE), TERRAIN_KEY_STORE=str(story.var / "keys")
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "release_inputs", release, *(["--into", folder] if folder else [])],
        cwd=ROOT, env=worker, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise StepFailed(f"release_inputs : {done.stderr[-600:]}")
    told = json.loads(done.stdout)
    return {**told, "paths": {name: Path(path) for name, path in told["paths"].items()}}
