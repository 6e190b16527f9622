"""A hospital and a motorway open; their operators publish stays and traffic from real files."""

import time
from datetime import date, timedelta
from urllib.parse import urlsplit

from deploy.demo.story import Page, Person, Step, StepFailed, Story

KEY_WITHIN = 30  # seconds: the worker makes the keys of a new zone

STAYS_TITLE = "Séjours de patients diabétiques"
TRAFFIC_TITLE = "Comptages horaires de trafic et météo"

# What Dr Girard knows and no profile can guess.
STAYS_WORDS = {
    "encounter_id": "Numéro du séjour",
    "patient_nbr": "Numéro du patient, le même à chacun de ses séjours",
    "race": "Origine déclarée",
    "gender": "Sexe",
    "age": "Âge, par tranches de dix ans",
    "weight": "Poids en livres, par tranches ; presque jamais saisi",
    "admission_type_id": "Type d'admission (1 : urgence, 3 : programmée)",
    "discharge_disposition_id": "Mode de sortie",
    "admission_source_id": "Provenance",
    "time_in_hospital": "Durée du séjour, en jours",
    "payer_code": "Payeur",
    "medical_specialty": "Spécialité du médecin à l'admission",
    "num_lab_procedures": "Analyses de laboratoire pendant le séjour",
    "num_procedures": "Actes pendant le séjour, hors analyses",
    "num_medications": "Médicaments différents administrés",
    "number_outpatient": "Consultations dans l'année précédente",
    "number_emergency": "Passages aux urgences dans l'année précédente",
    "number_inpatient": "Hospitalisations dans l'année précédente",
    "diag_1": "Diagnostic principal, CIM-9-CM",
    "diag_2": "Deuxième diagnostic, CIM-9-CM",
    "diag_3": "Troisième diagnostic, CIM-9-CM",
    "number_diagnoses": "Nombre de diagnostics saisis",
    "max_glu_serum": "Glycémie (None : non mesurée)",
    "A1Cresult": "Hémoglobine glyquée (None : non mesurée)",
    "insulin": "Insuline : arrêtée, stable, augmentée, diminuée",
    "change": "Traitement du diabète modifié pendant le séjour",
    "diabetesMed": "Un traitement du diabète est prescrit",
    "readmitted": "Réadmission : avant 30 jours, après, jamais",
}
# The three columns that the profile leaves to a person.
STAYS_CHOSEN = {"diag_1": "measure", "diag_2": "measure", "diag_3": "measure"}
STAYS_EXPECTED = {"encounter_id": "identifiant direct", "patient_nbr": "clé du sujet", "race": "sensibilité renforcée"}

TRAFFIC_WORDS = {
    "holiday": "Jour férié américain, à la première heure du jour (None : aucun)",
    "temp": "Température de l'air, en kelvins",
    "rain_1h": "Pluie dans l'heure, en millimètres",
    "snow_1h": "Neige dans l'heure, en millimètres",
    "clouds_all": "Couverture nuageuse, en pour cent",
    "weather_main": "Temps qu'il fait",
    "weather_description": "Temps qu'il fait, en détail",
    "date_time": "Heure locale du comptage",
    "traffic_volume": "Véhicules dans l'heure, un sens",
}


def present(story: Story, key: str) -> Person:
    """The person, signed in."""
    person = story.people[key]
    if not person.browser.cookies.get("sessionid"):
        person.sign_in()
    return person


def slug_of(answer) -> str:
    """The slug at the end of the address that a page was redirected to."""
    return urlsplit(str(answer.url)).path.strip("/").split("/")[1]


def needs(answer, words: str, told: str) -> None:
    if words not in Page(answer).text:
        raise StepFailed(f"{told} : la page ne dit pas « {words} » — {Page(answer).text[:400]}")


def ago(days: int) -> date:
    return date.today() - timedelta(days=days)  # noqa: DTZ011  a person reads the calendar on the wall


# The hospital


def prepare_hospital(story: Story):
    claire = present(story, "claire")
    answer = claire.submit(
        "/zones/nouvelle/?nature=hospital",
        name="Hôpital des Deux-Rives",
        description="Mettre au point des aides à la décision et au suivi du diabète sur des séjours réels, avec les "
        "soignants du service.",
        communes="76540",
        contact_email="experimentations@deux-rives.example",
        dpo_email="dpo@deux-rives.example",
        general_information_on=ago(90),
        frame_adopted_on=ago(60),
        information_system="Entrepôt de données de santé de l'établissement",
        finess="760000018",
        dpia="AIPD 2026-04, validée le 12 mai 2026",
    )
    story.memory.hospital = slug_of(answer)
    needs(answer, "Aucun service n'accueille", "Le brouillon dit ce qui manque")
    needs(answer, "117", "La population vient de l'Insee")


def host_tests(story: Story):
    claire, zone = story.people["claire"], f"/zones/{story.memory.hospital}"
    claire.submit(
        f"{zone}/services/nouveau/",
        name="Service de diabétologie",
        head_name="Dr Paul Girard",
        participation_from=ago(30),
        participation_until=ago(-540),
    )
    claire.submit(
        f"{zone}/services/nouveau/",
        name="Urgences",
        head_name="Dr Anne Vasseur",
        participation_from=ago(15),
        participation_until=ago(-365),
    )
    page = claire.page(f"{zone}/sites/nouveau/")
    ward = page.tree.xpath("//select[@name='service']/option[contains(., 'diabétologie')]/@value")[0]
    claire.submit(
        f"{zone}/sites/nouveau/", name="Pavillon Martainville", commune="76540", service=ward, latitude="49.4404",
        longitude="1.1085",
    )  # fmt: skip
    page = claire.page(f"{zone}/capteurs/nouveau/")
    site = page.tree.xpath("//select[@name='site']/option/@value")[0]
    claire.submit(
        f"{zone}/capteurs/nouveau/", site=site, name="Lecteurs de glycémie, unité 3", kind="lecteur de glycémie",
        measures="glycémie (mg/dl), à chaque contrôle", installed_on=ago(400),
    )  # fmt: skip


def name_people(story: Story):
    claire, zone = story.people["claire"], f"/zones/{story.memory.hospital}"
    for key, role in (("hugo", "operate"), ("paul", "steward"), ("nadia", "advise")):
        claire.submit(f"{zone}/personnes/", "give", person=story.people[key].email, role=role)


def propose_hospital(story: Story):
    answer = story.people["claire"].submit(f"/zones/{story.memory.hospital}/", "open")
    needs(answer, "Ouverture proposée", "L'ouverture attend une deuxième personne")


def countersign_hospital(story: Story):
    hugo = present(story, "hugo")
    hugo.follow("/bureau/", f"/zones/{story.memory.hospital}/")
    answer = hugo.submit(f"/zones/{story.memory.hospital}/", "open")
    needs(answer, "La zone est ouverte", "Deux personnes ouvrent la zone")


# The motorway

MOTORWAY = {
    "name": "Autoroute du Dauphiné, de Grenoble à Valence",
    "description": "Éprouver la prévision du trafic et la régulation des vitesses pour des véhicules connectés.",
    "communes": "38185 38151 38421 26362",
    "contact_email": "experimentations@autoroutes-dauphine.example",
    "dpo_email": "dpo@autoroutes-dauphine.example",
    "information_system": "Système de recueil des comptages et de la météo routière",
    "section": "A48 et A49, du PR 0+000 au PR 104+600",
}


def prepare_motorway(story: Story):
    ines = present(story, "ines")
    answer = ines.submit(
        "/zones/nouvelle/?nature=av_motorway",
        **MOTORWAY,
        frame_adopted_on=ago(45),
        agreement_on=ago(120),
        length_km="100.0",
    )
    story.memory.motorway = slug_of(answer)
    refused = ines.submit(f"/zones/{story.memory.motorway}/", "open", expect=403)
    text = Page(refused).text
    if "Z50" not in text or "plus de 100 km" not in text:
        raise StepFailed(f"100,0 km sont refusés, mais pas pour leur longueur : {text[:400]}")


def correct_motorway(story: Story):
    ines, zone = story.people["ines"], f"/zones/{story.memory.motorway}"
    ines.submit(f"{zone}/modifier/", length_km="104.6")
    ines.submit(f"{zone}/sites/nouveau/", name="Portique de Grenoble", commune="38185", latitude="45.1885",
                longitude="5.7005")  # fmt: skip
    site = ines.page(f"{zone}/capteurs/nouveau/").tree.xpath("//select[@name='site']/option/@value")[0]
    ines.submit(
        f"{zone}/capteurs/nouveau/", site=site, name="Boucles et station météo", kind="boucle de comptage",
        measures="véhicules par heure, température (K), pluie (mm)", installed_on=ago(900),
    )  # fmt: skip
    for key, role in (("marc", "operate"), ("tom", "steward"), ("lea", "advise")):
        ines.submit(f"{zone}/personnes/", "give", person=story.people[key].email, role=role)
    needs(ines.submit(f"{zone}/", "open"), "Ouverture proposée", "L'ouverture attend une deuxième personne")


def countersign_motorway(story: Story):
    answer = present(story, "marc").submit(f"/zones/{story.memory.motorway}/", "open")
    needs(answer, "La zone est ouverte", "Deux personnes ouvrent la zone")


# The files


def send(story: Story, person: Person, dataset: str, file_name: str, **options) -> None:
    """Upload a real file and wait for its profile."""
    path = f"/jeux/{dataset}/versions/nouvelle/"
    limit = time.monotonic() + KEY_WITHIN
    while (answer := person.browser.get(path)).status_code == 409 and time.monotonic() < limit:
        time.sleep(0.2)
    answer = person.submit(path, file=story.data / file_name, **options)
    profile = urlsplit(str(answer.url)).path
    answer = story.wait(person, profile, lambda page: 'id="avancement"' not in page.text, timeout=60)
    if "Ce que l’examen a vu" not in Page(answer).text:
        raise StepFailed(f"le fichier n'a pas été lu : {Page(answer).errors()}")


def confirm(person: Person, dataset: str, words: dict[str, str], chosen: dict[str, str]) -> Page:
    """Say the columns in words, choose what was left to say, accept what was suggested with a reason."""
    fields = {f"words:{name}": told for name, told in words.items()}
    fields |= {f"role:{name}": role for name, role in chosen.items()}
    page = Page(person.submit(f"/jeux/{dataset}/colonnes/", "roles", act="suggested", **fields))
    if "Toutes les colonnes sont confirmées" not in page.text:
        raise StepFailed(f"des colonnes restent sans rôle : {page.text[:400]}")
    return page


def publish(person: Person, dataset: str) -> None:
    answer = person.submit(f"/jeux/{dataset}/publier/", "publish")
    needs(answer, "publié au catalogue", "Le jeu est public")


def describe_stays(story: Story):
    paul, zone = present(story, "paul"), f"/zones/{story.memory.hospital}"
    page = paul.page(f"{zone}/jeux/nouveau/")
    ward = page.tree.xpath("//select[@name='service']/option[contains(., 'diabétologie')]/@value")[0]
    answer = paul.submit(
        f"{zone}/jeux/nouveau/",
        title=STAYS_TITLE,
        summary="Une ligne par séjour d'un à quatorze jours d'un patient diabétique : admission, actes, traitements, "
        "réadmission. Pour prévoir les réadmissions et suivre les traitements.",
        domains=["clinical"],
        is_personal="yes",
        service=ward,
        period="1999 à 2008",
        origin="Diabetes 130-US hospitals (UCI 296 ; Strack et al., 2014)",
        licence="CC BY 4.0",
    )
    story.memory.stays = slug_of(answer)


def send_stays(story: Story):
    send(story, present(story, "paul"), story.memory.stays, "diabetic_data.csv.gz", missing="?")


def confirm_stays(story: Story):
    page = confirm(story.people["paul"], story.memory.stays, STAYS_WORDS, STAYS_CHOSEN)
    for name, label in STAYS_EXPECTED.items():
        shown = page.tree.xpath(f"//select[@name='role:{name}']/option[@selected]")
        if not shown or shown[0].text_content() != label:
            raise StepFailed(f"{name} devait être « {label} »")


def publish_stays(story: Story):
    publish(story.people["paul"], story.memory.stays)


def describe_traffic(story: Story):
    answer = present(story, "tom").submit(
        f"/zones/{story.memory.motorway}/jeux/nouveau/",
        title=TRAFFIC_TITLE,
        summary="Une ligne par heure et par temps qu'il fait : véhicules comptés, température, pluie, neige, nuages. "
        "Aucune personne.",
        domains=["road_infrastructure", "environment"],
        is_personal="no",
        period="octobre 2012 à septembre 2018",
        origin="Metro Interstate Traffic Volume, station 301 du Minnesota (UCI 492 ; J. Hogue)",
        licence="CC BY 4.0",
    )
    story.memory.traffic = slug_of(answer)


def publish_traffic(story: Story):
    tom = story.people["tom"]
    send(story, tom, story.memory.traffic, "Metro_Interstate_Traffic_Volume.csv.gz")
    confirm(tom, story.memory.traffic, TRAFFIC_WORDS, {})
    publish(tom, story.memory.traffic)


STEPS = [
    Step("prépare la zone hospitalière de Rouen", "claire", prepare_hospital),
    Step("ajoute services, site et capteur", "claire", host_tests),
    Step("nomme ses collègues", "claire", name_people),
    Step("propose l'ouverture de l'hôpital", "claire", propose_hospital),
    Step("contresigne : l'hôpital est ouvert", "hugo", countersign_hospital),
    Step("présente 100,0 km d'autoroute : refusé, avec le motif", "ines", prepare_motorway),
    Step("corrige à 104,6 km et propose l'ouverture", "ines", correct_motorway),
    Step("contresigne : l'autoroute est ouverte", "marc", countersign_motorway),
    Step("décrit le jeu des séjours", "paul", describe_stays),
    Step("envoie 101 766 séjours, scellés puis examinés", "paul", send_stays),
    Step("confirme le rôle des 50 colonnes", "paul", confirm_stays),
    Step("publie les séjours au catalogue", "paul", publish_stays),
    Step("décrit le jeu du trafic", "tom", describe_traffic),
    Step("envoie, confirme et publie le trafic", "tom", publish_traffic),
]
