"""Files with dirt in them: charging sessions of the year 14, accidents, vehicles in Latin-1, FHIR patients."""

import gzip
import io
import json
import tempfile

from deploy.demo.story import Page, Step, StepFailed, Story, acts
from deploy.demo.story.zones import confirm, needs, present, publish, send, slug_of

# What each steward knows and no profile can guess.
CHARGING_WORDS = {
    "sessionId": "Numéro de la recharge",
    "userId": "Numéro du conducteur, le même à chacune de ses recharges",
    "created": "Début, heure locale",
    "ended": "Fin, heure locale",
    "kwhTotal": "Énergie, en kWh",
    "dollars": "Prix payé",
    "chargeTimeHrs": "Durée, en heures",
    "distance": "Distance du domicile au travail, en miles",
    "platform": "Application utilisée",
    "facilityType": "Nature du lieu (1 à 4)",
    "managerVehicle": "Voiture d'un encadrant",
}
CHARGING_CHOSEN = {
    "locationId": "geo", "managerVehicle": "quasi_identifier", "facilityType": "quasi_identifier",
    "distance": "quasi_identifier", "platform": "quasi_identifier",
}  # fmt: skip
CHARGING = {
    "userId": "relie les recharges d'un même conducteur, par un pseudonyme",
    "created": "heure du branchement, que la flexibilité déplace",
    "ended": "heure du départ, qui borne le décalage",
    "kwhTotal": "énergie à livrer",
    "chargeTimeHrs": "durée de la recharge",
    "facilityType": "usage du lieu",
}
VEHICLES_WORDS = {
    "Manufacturer": "Constructeur",
    "Permit Number": "Autorisation d'essai",
    "DATE": "Jour du désengagement",
    "VIN NUMBER": "Numéro de série du véhicule",
    "DESCRIPTION OF FACTS CAUSING DISENGAGEMENT": "Récit de l'opérateur",
}
VEHICLES = {
    "Manufacturer": "compare les systèmes",
    "DATE": "jour et saison",
    "DRIVER PRESENT (Yes or No)": "essai avec ou sans conducteur",
    "DISENGAGEMENT INITIATED BY (AV System, Test Driver, Remote Operator, or Passenger)": "qui a repris la main",
    "DISENGAGEMENT LOCATION (Interstate, Freeway, Highway, Rural Road, Street, or Parking Facility)": "type de route",
}
ACCIDENTS_WORDS = {
    "Num_Acc": "Numéro de l'accident",
    "mois": "Mois",
    "hrmn": "Heure et minute",
    "lum": "Lumière (1 : plein jour)",
    "atm": "Conditions atmosphériques",
    "surf": "État de la chaussée",
    "prof": "Profil : pente, sommet, bas de côte",
    "plan": "Tracé en plan",
    "voie": "Numéro de la route",
    "lat": "Latitude",
    "long": "Longitude",
}
# An accident on a lonely road names its victim: what tells where and when tells whom.
ACCIDENTS_CHOSEN = {
    "Num_Acc": "subject_key", "mois": "quasi_identifier", "hrmn": "direct_identifier", "lum": "quasi_identifier",
    "atm": "quasi_identifier", "surf": "quasi_identifier", "prof": "quasi_identifier", "plan": "quasi_identifier",
    "voie": "geo", "pr": "geo", "pr1": "geo", "v1": "measure",
}  # fmt: skip
ACCIDENTS = {
    "Num_Acc": "compte les accidents, par un pseudonyme",
    "mois": "saison",
    "lum": "nuit ou jour",
    "atm": "pluie, neige, brouillard",
    "surf": "chaussée glissante",
    "prof": "pente",
    "plan": "virage",
}
PATIENTS_WORDS = {
    "id": "Numéro du patient",
    "gender": "Sexe",
    "age": "Âge à la réception du fichier, ou au décès",
    "birthDate": "Date de naissance",
    "maritalStatus.coding.code": "Situation de famille",
    "address.postalCode": "Code postal",
    "disability-adjusted-life-years": "Années de vie corrigées de l'incapacité",
    "quality-adjusted-life-years": "Années de vie pondérées par la qualité",
}
PATIENTS = {
    "id": "relie les lignes d'une même personne, par un pseudonyme",
    "gender": "besoins de soins selon le sexe",
    "age": "besoins de soins selon l'âge, par tranches",
    "maritalStatus.coding.code": "personnes seules, que le réseau visite d'abord",
    "communication.language.coding.code": "langue de l'échange",
    "disability-adjusted-life-years": "poids de la maladie",
    "deceasedDateTime": "suivi interrompu",
}
SEEN = ["gender", "age", "disability-adjusted-life-years"]  # what is asked once the first request was too fine
IDENTITY = ("identifier", "name", "telecom", "address.line", "text", "patient-mothersMaidenName")

PERSONAL_NOTICE = {
    "notice_who": "Des expérimentateurs agréés au registre public.",
    "notice_until": "Douze mois au plus par convention ; les copies sont détruites sous quinze jours.",
    "notice_where": "Dans un environnement sécurisé, hébergé en France.",
}


def describe(story: Story, who: str, zone: str, dataset: str, **words):
    """The dataset's draft; `story.memory[dataset]` is its slug."""
    answer = present(story, who).submit(f"/zones/{story.memory[zone]}/jeux/nouveau/", **words)
    story.memory[dataset] = slug_of(answer)


def mend(story: Story, who: str, dataset: str, *said: str):
    """Accept every mend that the examination proposed; what was then done, counted, is on the version's page."""
    person, slug = story.people[who], story.memory[dataset]
    versions = Page(person.get(f"/jeux/{slug}/")).links(f"/jeux/{slug}/versions/")
    last = next(path for path in versions if path.rstrip("/").rsplit("/", 1)[-1].isdecimal())
    answer = person.submit(last, "mends", act="proposed")
    path = answer.url.path
    answer = story.wait(person, path, lambda page: 'id="avancement"' not in page.text, timeout=60)
    text = " ".join(Page(answer).text.replace("\u202f", " ").replace("\xa0", " ").split())
    for words in said:
        if words not in text:
            raise StepFailed(f"la version corrigée ne dit pas « {words} » : {text[:900]}")


def charging(story: Story):
    describe(
        story, "bruno", "district", "charging",
        title="Recharges de véhicules électriques au travail",
        summary="Une ligne par recharge : début, fin, énergie, lieu. Pour décaler les recharges vers les heures "
        "creuses sans gêner les conducteurs.",
        domains=["ev_charging"], is_personal="yes",
        no_minors_because="conducteurs salariés, titulaires du permis de conduire",
        period="novembre 2014 à octobre 2015", licence="CC0 1.0",
        origin="O. I. Asensio et al., Harvard Dataverse (Scientific Data, 2021)",
    )  # fmt: skip
    send(story, story.people["bruno"], story.memory.charging, "station_data_dataverse.csv", missing="NA")


def charging_mended(story: Story):
    mend(
        story,
        "bruno",
        "charging",
        "« created » : 3 395 dates, années 0014 à 0015 lues 2014 à 2015",
        "« ended » : 3 395 dates",
    )
    confirm(story.people["bruno"], story.memory.charging, CHARGING_WORDS, CHARGING_CHOSEN)
    publish(story.people["bruno"], story.memory.charging)


def vehicles(story: Story):
    describe(
        story, "noe", "city", "vehicles",
        title="Désengagements de véhicules automatisés en essai",
        summary="Une ligne par reprise en main : constructeur, jour, route, qui a repris. Pour savoir où la conduite "
        "automatisée cède.",
        domains=["road_infrastructure"], is_personal="no",
        period="décembre 2022 à novembre 2023", licence="document public",
        origin="State of California, Department of Motor Vehicles",
    )  # fmt: skip
    noe, slug = story.people["noe"], story.memory.vehicles
    answer = noe.submit(
        f"/jeux/{slug}/versions/nouvelle/",
        file=story.data / "2023-Autonomous-Vehicle-Disengagement-Reports-CSV.csv.gz",
    )
    refused = story.wait(noe, answer.url.path, lambda page: 'id="avancement"' not in page.text)
    needs(refused, "0xA0", "Le refus nomme l'octet, sa ligne et sa colonne")


def vehicles_mended(story: Story):
    mend(story, "noe", "vehicles", "Latin-1")
    mend(
        story, "noe", "vehicles", "6 125 lignes sans aucune valeur, passées", "4 noms de colonnes ramenés à une ligne",
        "« DATE » : 5 498 dates écrites autrement",
    )  # fmt: skip
    noe, slug = story.people["noe"], story.memory.vehicles
    page = confirm(noe, slug, VEHICLES_WORDS, {})
    shown = page.tree.xpath("//select[@name='role:VIN NUMBER']/option[@selected]")
    if not shown or shown[0].text_content() != "identifiant direct":
        raise StepFailed("le numéro de série du véhicule devait être un identifiant direct")
    publish(noe, slug)


def accidents(story: Story):
    describe(
        story, "pierre", "mountain", "accidents",
        title="Accidents corporels sur les routes en pente des Alpes",
        summary="Une ligne par accident : mois, lumière, météo, chaussée, pente, virage. Peu de lignes : une "
        "combinaison rare désigne un accident, donc sa victime.",
        domains=["road_infrastructure"], is_personal="yes",
        no_minors_because="une ligne décrit un accident, jamais une personne ni son âge",
        period="2018", licence="Licence Ouverte 2.0 / Etalab", origin="ministère de l'Intérieur, ONISR",
    )  # fmt: skip
    pierre, slug = story.people["pierre"], story.memory.accidents
    send(story, pierre, slug, "accidents_alps_slopes_2018.csv")
    confirm(pierre, slug, ACCIDENTS_WORDS, ACCIDENTS_CHOSEN)
    publish(pierre, slug)


def patients(story: Story):
    describe(
        story, "rene", "network", "patients",
        title="Patients suivis par le réseau de soins",
        summary="Une ligne par patient, tirée d'un export FHIR : âge, sexe, situation, langue. Pour organiser les "
        "visites à domicile.",
        domains=["community_care"], is_personal="yes",
        period="jusqu'en 2021", licence="Apache-2.0",
        origin="Synthea, export FHIR de 1 144 patients (SMART on FHIR)",
    )  # fmt: skip
    rene, slug = story.people["rene"], story.memory.patients
    send(story, rene, slug, "Patient.000.ndjson.gz", format="fhir")
    page = confirm(rene, slug, PATIENTS_WORDS, {})
    for path in IDENTITY:
        if page.tree.xpath(f"//select[@name='role:{path}']"):
            raise StepFailed(f"« {path} » ne devait pas entrer dans la table")
    publish(rene, slug)


draft_charging = acts.draft_offer(
    "elise", "charging", "charging_offer", CHARGING,
    title="Recharges au travail, pour la flexibilité", purposes=["charging_rnd", "energy_flexibility_rnd"],
    delivery_mode="environment", environment_klass="secure", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit", dpia_reference="AIPD 2026-11",
    dpia_validated_on=acts.paper_day(-60), basis_article_6="legitimate_interests",
    record_reference="registre, fiche 12", **PERSONAL_NOTICE,
    notice_what="Des extraits pseudonymisés : heures de branchement et de départ, énergie, nature du lieu.",
    notice_why="Décaler les recharges vers les heures creuses.",
    notice_basis="Intérêt légitime de l'aménageur (RGPD art. 6(1)(f)).",
)  # fmt: skip
draft_vehicles = acts.draft_offer(
    "alix", "vehicles", "vehicles_offer", VEHICLES,
    title="Reprises en main de véhicules automatisés", purposes=["driving_rnd", "road_safety_rnd"],
    delivery_mode="file_download", environment_klass="workstation", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit",
)  # fmt: skip
draft_accidents = acts.draft_offer(
    "odile", "accidents", "accidents_offer", ACCIDENTS,
    title="Accidents en pente, pour la sécurité routière", purposes=["road_safety_rnd", "driving_rnd"],
    delivery_mode="environment", environment_klass="secure", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit", dpia_reference="AIPD 2026-14",
    dpia_validated_on=acts.paper_day(-45), basis_article_6="public_task",
    record_reference="registre, fiche 5", **PERSONAL_NOTICE,
    notice_what="Des extraits sans lieu ni heure : mois, lumière, météo, chaussée, pente, virage.",
    notice_why="Prévenir les accidents de montagne.",
    notice_basis="Mission d'intérêt public du gestionnaire de la route (RGPD art. 6(1)(e)).",
)  # fmt: skip
draft_patients = acts.draft_offer(
    "maud", "patients", "patients_offer", PATIENTS,
    title="Patients du réseau, pour organiser les visites", purposes=["care_organisation_rnd", "prevention_rnd"],
    delivery_mode="environment", environment_klass="secure", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit", dpia_reference="AIPD 2026-09",
    dpia_validated_on=acts.paper_day(-75), basis_article_6="public_task", basis_article_9="9(2)(j)",
    mr_reference="MR-004, engagement du 7 avril 2026", record_reference="registre, fiche 3", **PERSONAL_NOTICE,
    notice_what="Des extraits pseudonymisés : tranche d'âge, sexe, situation, langue, poids de la maladie.",
    notice_why="Organiser les visites à domicile là où elles manquent.",
    notice_basis="Mission d'intérêt public du réseau ; recherche (RGPD art. 6(1)(e) et 9(2)(j)).",
)  # fmt: skip


# The releases


def take_up_patients(story: Story):
    acts.again(story, "theo")  # the clock has moved by days: the simulation asks for a fresh second factor
    acts.take_up(
        "theo", "patients_offer", "patients_convention", solution="Tournées de visites à domicile",
        purpose_code="care_organisation_rnd", basis_article_6="legitimate_interests", basis_article_9="9(2)(j)",
        ends_on=acts.paper_day(170),
    )(story)  # fmt: skip


def confirmed(story: Story):
    acts.name_person("theo", "theo", "patients_convention")(story)
    acts.again(story, "maud")
    acts.confirm_person("maud", "patients_convention")(story)


def asked_too_fine(story: Story):
    """Every column of the offer: too few patients share them, the build is refused and says what to ask for less."""
    acts.ask_release("theo", "patients_convention", "patients_too_fine")(story)
    acts.wait_release("theo", "patients_too_fine", until="failed")(story)
    page = Page(story.people["theo"].get(f"/remises/{story.memory.patients_too_fine}/"))
    if "Réduisez la précision" not in page.text:
        raise StepFailed("le refus de la préparation ne nomme pas le remède : " + " · ".join(page.errors()))


def asked_coarser(story: Story):
    theo, ref = story.people["theo"], story.memory.patients_convention
    path = f"/conventions/{ref}/remises/nouvelle/"
    answer = theo.submit(path, "release-form", columns=["id", *SEEN])
    if "/remises/" not in answer.url.path:
        raise StepFailed("la remise n'est pas permise : " + " · ".join(Page(answer).errors()))
    story.memory.patients_release = answer.url.path.strip("/").split("/")[-1]
    acts.wait_release("theo", "patients_release")(story)


def opened_patients(story: Story):
    """The file the environment pulls: age bands and pseudonyms, and nothing that names a patient of the source."""
    import duckdb

    acts.give_order("theo", "patients_release", "patients_order")(story)
    clear = acts.opened(story, acts.pull(story, story.memory.patients_order, kept_as="_flexio").content,
                        kept_as="_flexio")  # fmt: skip
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as engine:
        file.write(clear)
        file.flush()
        found = engine.execute("SELECT * FROM read_parquet(?)", [file.name])
        columns = [column[0] for column in found.description]
        told = "\n".join(str(value) for row in found.fetchall() for value in row)
    if columns != ["pseudonym", "event_rank", "gender", "age", "disability-adjusted-life-years"][: len(columns)] and (
        set(columns) != {"pseudonym", "event_rank", *SEEN}
    ):
        raise StepFailed(f"la remise porte ces colonnes : {', '.join(columns)}")
    named = [name for name in identities(story) if name in told]
    if named:
        raise StepFailed(f"{len(named)} identifiants des patients se lisent dans la remise")
    manifest = story.people["theo"].get(f"/remises/{story.memory.patients_release}/manifeste.json").json()
    if not any("mises à plat" in words for words in manifest["reading"]):
        raise StepFailed("le manifeste ne dit pas comment la source a été lue")


def identities(story: Story) -> set[str]:
    """Every number, family and given name, telephone and street of the source's patients."""
    found: set[str] = set()
    with gzip.open(story.data / "Patient.000.ndjson.gz") as packed:
        for line in io.TextIOWrapper(packed, encoding="utf-8"):
            patient = json.loads(line)
            found |= {patient["id"], *(one["value"] for one in patient["identifier"])}
            found |= {one["value"] for one in patient["telecom"]}
            for name in patient["name"]:
                found |= {name["family"], *name["given"]}
            found |= {street for one in patient["address"] for street in one["line"]}
    return found


STEPS = [
    Step("décrit et envoie 3 395 recharges : l'examen voit l'année 0014", "bruno", charging),
    Step("accepte que 0014 se lise 2014, confirme les rôles et publie", "bruno", charging_mended),
    *acts.offer_steps(
        "charging_offer", told="les recharges", draft=draft_charging, first="elise", second="bruno", signs="elise",
        steward="bruno", dpo="dalia", steward_says="Heures et énergie suffisent ; la distance au domicile reste ici.",
        dpo_says="Favorable : ni lieu ni distance, k de 10.",
    ),
    Step("envoie 12 687 lignes de véhicules : un octet n'est pas en UTF-8, refusé", "noe", vehicles),
    Step("relit les mêmes octets, 6 125 lignes vides passées, et publie", "noe", vehicles_mended),
    *acts.offer_steps(
        "vehicles_offer", told="les véhicules", draft=draft_vehicles, first="alix", second="noe", signs="alix",
        steward="noe", dpo="irene", steward_says="Ni numéro de série ni récit : les faits seuls.",
        dpo_says="Aucune personne : rien ne s'oppose.",
    ),
    Step("décrit, envoie et publie 296 accidents", "pierre", accidents),
    *acts.offer_steps(
        "accidents_offer", told="les accidents", draft=draft_accidents, first="odile", second="pierre", signs="odile",
        steward="pierre", dpo="jade", steward_says="Sans lieu ni heure.", dpo_says="Favorable si les classes tiennent.",
    ),
    Step("décrit, envoie et publie 1 144 patients FHIR, mis à plat", "rene", patients),
    *acts.offer_steps(
        "patients_offer", told="les patients", draft=draft_patients, first="maud", second="rene", signs="maud",
        steward="rene", dpo="fatou", steward_says="Colonnes suffisantes pour organiser les visites.",
        dpo_says="Favorable : AIPD à jour, identité et origine restent au réseau.",
    ),
]  # fmt: skip

# Played after the standing notices have run.
RELEASES = [
    Step("reprend l'offre sur les patients, approuvée aussitôt", "theo",
         take_up_patients),
    Step("signe la convention sur les patients", "theo", acts.sign("theo", "patients_convention")),
    Step("se désigne ; le réseau de soins confirme", "maud", confirmed),
    Step("suit la formation et s'engage", "theo", acts.train("theo", "patients_convention")),
    Step("demande tout : trop peu de patients se ressemblent, refusé avec le remède", "theo", asked_too_fine),
    Step("demande moins de colonnes : la remise se fait", "theo", asked_coarser),
    Step("ouvre la remise : aucun identifiant des 1 144 patients", "theo", opened_patients),
]  # fmt: skip
