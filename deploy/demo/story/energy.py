"""Load curves that belong to a grid operator: consents, a missing signature, and only the homes that agreed."""

import csv
import gzip
import json
import tempfile
from urllib.parse import parse_qs, urlsplit

from deploy.demo.story import Page, Step, StepFailed, Story, acts
from deploy.demo.story.zones import confirm, publish, send, slug_of

HOLDER = "Réseau électrique du Drac"
FILE = "sgsc_10_households.csv.gz"
PURPOSE = "energy_flexibility_rnd"
CONSENTING = 7  # of the ten homes of the file; one of them takes it back
WORDS = {
    "customer_id": "numéro du foyer chez le gestionnaire du réseau",
    "reading_datetime": "début de la demi-heure, heure locale",
    "general_supply_kwh": "énergie prise au réseau pendant la demi-heure, en kWh",
}
REASONS = {
    "customer_id": "relie les demi-heures d'un même foyer, par un pseudonyme",
    "reading_datetime": "l'effacement dépend de l'heure et de la saison",
    "general_supply_kwh": "ce que la solution prévoit et déplace",
}


def homes(story: Story) -> list[str]:
    """The ten homes of the real file, in its order."""
    with gzip.open(story.data / FILE, "rt", encoding="utf-8", newline="") as lines:
        return list(dict.fromkeys(row["customer_id"] for row in csv.DictReader(lines)))


def describe(story: Story):
    bruno = story.entered("bruno")
    path = f"/zones/{story.memory.district}/jeux/nouveau/"
    options = bruno.page(path).tree.xpath("//select[@name='holder']/option")
    holder = next(o.get("value") for o in options if HOLDER in o.text_content())
    facts = {
        "title": "Courbes de charge de foyers volontaires",
        "summary": "Une ligne par foyer et par demi-heure : l'énergie prise au réseau. Pour mettre au point "
        "l'effacement et le pilotage des usages.",
        "domains": ["energy_metering"],
        "is_personal": "yes",
        "holder": holder,
        "time_step": "fine",
        "no_minors_because": "titulaires d'un contrat de fourniture, tous majeurs",
        "period": "2012 à 2014",
        "origin": "Smart-Grid Smart-City, département de l'environnement et de l'énergie d'Australie",
        "licence": "CC BY 3.0 AU",
    }
    refused = bruno.submit(path, expect=422, **facts)
    if "exige le consentement de chaque usager" not in Page(refused).text:
        raise StepFailed("une courbe de charge fine est acceptée sans consentement")
    answer = bruno.submit(
        path, **facts, consent_required="yes", holder_agreement="Accord-cadre du 2 mars 2026, annexe 4"
    )
    story.memory.curves = slug_of(answer)


def send_and_publish(story: Story):
    bruno, slug = story.people["bruno"], story.memory.curves
    send(story, bruno, slug, FILE)
    confirm(bruno, slug, WORDS, {"customer_id": "subject_key"})
    publish(bruno, slug)


def import_consents(story: Story):
    """Seven of the ten homes, from the real file, and a line that must be refused without being shown."""
    bruno, slug = story.entered("bruno"), story.memory.curves
    bruno.follow(f"/jeux/{slug}/", f"/jeux/{slug}/consentements/")
    bruno.follow(f"/jeux/{slug}/consentements/", f"/jeux/{slug}/consentements/import/")
    agreed, late = homes(story)[:CONSENTING], homes(story)[CONSENTING]
    lines = [
        f"{home},2026-01-{n + 5:02d},registre du quartier bulletin {n},{PURPOSE}" for n, home in enumerate(agreed, 1)
    ]
    lines.append(f"{late},janvier,registre du quartier bulletin 8,{PURPOSE}")
    content = "\n".join(("local_id,given_on,proof,purposes", *lines)).encode()
    path = f"/jeux/{slug}/consentements/import/"
    answer = bruno.submit(path, "import", file=("consentements.csv", content))
    detail = urlsplit(str(answer.url)).path
    page = Page(story.wait(bruno, detail, lambda one: 'id="avancement"' not in one.text))
    if _number(page, "recorded") != CONSENTING or _number(page, "refused") != 1:
        raise StepFailed(f"l'import n'a pas gardé sept consentements et refusé une ligne : {page.text[:500]}")
    if any(home in page.text for home in (*agreed, late)):
        raise StepFailed("la page de l'import montre le numéro d'un foyer")


def _number(page: Page, name: str) -> int:
    return int("".join(sign for sign in page.tree.xpath(f"//*[@id='{name}']")[0].text_content() if sign.isdigit()))


def withdraw(story: Story):
    """One home takes its consent back at the desk; its number is shown nowhere afterwards."""
    dalia, slug = story.entered("dalia"), story.memory.curves
    home, path = homes(story)[2], f"/jeux/{slug}/consentements/retrait/"
    dalia.follow(f"/jeux/{slug}/consentements/", path)
    answer = dalia.submit(path, "retrait", local_id=home, scope="dataset", identity_checked=True)
    receipt = parse_qs(urlsplit(str(answer.url)).query).get("recepisse", [""])[0]
    if not receipt or home in answer.text:
        raise StepFailed("le retrait n'a pas de récépissé, ou sa page montre le numéro du foyer")
    story.wait(dalia, f"{path}?recepisse={receipt}", lambda one: "en vigueur" in one.text)
    page = dalia.page(f"/jeux/{slug}/consentements/")
    if (_number(page, "consenting"), _number(page, "withdrawn")) != (CONSENTING - 1, 1):
        raise StepFailed(f"la page ne compte pas six foyers : {page.text[:400]}")


def ask_too_early(story: Story):
    """Everything is there but the holder's signature: the page says what is missing, and whose turn it is."""
    theo, ref = story.entered("theo"), story.memory.curves_convention
    shown = theo.page(f"/conventions/{ref}/")
    if HOLDER not in shown.text:
        raise StepFailed("la page de la convention ne dit pas que le détenteur doit signer")
    path = f"/conventions/{ref}/remises/nouvelle/"
    theo.follow(f"/conventions/{ref}/", path)
    answer = theo.submit(path, "release-form", expect=403)
    story.refused("une remise avant la signature du détenteur", "theo", answer, "G10", "G12", "G20")
    if HOLDER not in Page(answer).text:
        raise StepFailed("le refus ne nomme pas le détenteur qui n'a pas signé")


def ask(story: Story):
    if "patients_convention" not in story.memory:  # else he has just signed it, with his second factor
        acts.again(story, "theo")
    acts.ask_release("theo", "curves_convention", "curves_release")(story)


def read(story: Story):
    """The file, opened by the start-up: six homes of ten, under pseudonyms, at the hours they lived."""
    import duckdb

    answer = acts.pull(story, story.memory.curves_order, kept_as="_flexio")
    story.keep("release_file_curves", "courbes.parquet.age", answer.content)
    manifest = story.entered("theo").get(f"/remises/{story.memory.curves_release}/manifeste.json")
    story.keep("release_manifest_curves", "courbes-manifeste.json", manifest.content)
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as engine:
        file.write(acts.opened(story, answer.content, kept_as="_flexio"))
        file.flush()
        found = engine.execute(
            "SELECT count(*), count(DISTINCT pseudonym), min(reading_datetime), max(reading_datetime) "
            "FROM read_parquet(?)", [file.name],
        ).fetchone() or (0, 0, "", "")  # fmt: skip
    agreed = {home for n, home in enumerate(homes(story)[:CONSENTING]) if n != 2}
    with gzip.open(story.data / FILE, "rt", encoding="utf-8", newline="") as lines:
        kept = [row["reading_datetime"] for row in csv.DictReader(lines) if row["customer_id"] in agreed]
    expected = (len(kept), len(agreed), min(kept), max(kept))
    if (*found[:2], str(found[2]), str(found[3])) != expected:
        raise StepFailed(f"la remise tient {found} ; attendu {expected}")
    if json.loads(manifest.content)["rows"]["out"] != len(kept):
        raise StepFailed("le manifeste ne compte pas les lignes des foyers qui consentent")


def give_inputs(story: Story):
    """In the demo alone: source, recipe, keys, objections and consents, so that a stranger recomputes the file."""
    told = acts.release_inputs(story, story.memory.curves_release, "curves")
    if len(json.loads(told["paths"]["consented"].read_text())) != CONSENTING - 1:
        raise StepFailed("le registre remis à l'inconnu ne compte pas six consentements")
    story.artefacts["release_inputs_curves"] = told["paths"]


draft = acts.draft_offer(
    "bruno", "curves", "curves_offer", REASONS,
    title="Courbes de charge à la demi-heure, pour la flexibilité",
    purposes=[PURPOSE],
    delivery_mode="environment",
    environment_klass="secure",
    models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur",
    price="gratuit",
    dpia_reference="AIPD 2026-11",
    dpia_validated_on=acts.paper_day(-40),
    basis_article_6="consent",
    record_reference="registre, fiche 7",
    notice_who="Des expérimentateurs agréés, pour mettre au point l'effacement électrique.",
    notice_what="L'énergie prise au réseau par demi-heure, des seuls foyers volontaires, sous pseudonyme.",
    notice_why="Déplacer les usages quand le réseau est chargé, sans gêner personne.",
    notice_basis="Le consentement de chaque foyer (RGPD art. 6(1)(a) ; code de l'énergie, art. L.341-4).",
    notice_until="Douze mois au plus par convention ; les copies sont détruites sous quinze jours.",
    notice_where="Dans un environnement sécurisé, hébergé en France.",
)  # fmt: skip

STEPS = [
    Step("décrit les courbes de charge, dont le détenteur est le gestionnaire du réseau", "bruno", describe),
    Step("envoie 293 874 demi-heures de dix foyers, et les publie", "bruno", send_and_publish),
    Step("importe les consentements de sept foyers", "bruno", import_consents),
    Step("enregistre le retrait d'un foyer : six consentent encore", "dalia", withdraw),
    *acts.offer_steps(
        "curves_offer", told="les courbes de charge", draft=draft, first="bruno", second="elise", signs="elise",
        steward="bruno", dpo="dalia", steward_says="Relevés vérifiés ; la demi-heure suffit.",
        dpo_says="Favorable : consentements prouvés, retrait aussi simple que l'accord.",
    ),
    Step("reprend l'offre sur les courbes de charge", "theo",
         acts.take_up("theo", "curves_offer", "curves_convention",
                      solution="Effacement automatique des chauffe-eau du quartier", purpose_code=PURPOSE,
                      basis_article_6="consent", basis_article_9="9(2)(a)", ends_on=acts.paper_day(180))),
    Step("signe la convention : il manque le détenteur", "theo", acts.sign("theo", "curves_convention", last=False)),
    Step("se désigne pour agir", "theo", acts.name_person("theo", "theo", "curves_convention")),
    Step("confirme Théo pour les courbes", "bruno", acts.confirm_person("bruno", "curves_convention")),
    Step("suit la formation à l'énergie et s'engage", "theo", acts.train("theo", "curves_convention")),
    Step("demande une remise : refusée, il manque la signature du détenteur", "theo", ask_too_early),
]  # fmt: skip

# Played after the standing notices have run.
RELEASES = [
    Step("signe pour le détenteur, depuis son bureau : la convention est active", "gilles",
         acts.sign("gilles", "curves_convention")),
    Step("demande une remise des courbes, permise", "theo", ask),
    Step("suit la préparation des courbes", "theo", acts.wait_release("theo", "curves_release")),
    Step("donne l'ordre de tirer les courbes", "theo", acts.give_order("theo", "curves_release", "curves_order")),
    Step("ouvre les courbes : six foyers, à leurs heures", "theo", read),
    Step("remet à un inconnu de quoi recalculer les courbes", "anne", give_inputs),
]  # fmt: skip
