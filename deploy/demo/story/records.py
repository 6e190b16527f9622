"""Care records in six tables, tied by keys: one person, their visits, conditions, drugs and measurements, and who saw
them. They leave together, in one archive, in which the keys still join and none is the hospital's."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.demo.people import Page
from deploy.demo.story import Step, StepFailed, Story, acts
from deploy.demo.story.zones import needs, present, publish, slug_of

FILES = (
    "PERSON.csv", "VISIT_OCCURRENCE.csv.gz", "CONDITION_OCCURRENCE.csv", "DRUG_EXPOSURE.csv.gz", "MEASUREMENT.csv.gz",
    "PROVIDER.csv",
)  # fmt: skip
TABLES = tuple(name.split(".")[0] for name in FILES)
# What the steward says otherwise than the examination suggests: a drug is no addiction, a unit no commune.
CHOSEN = {
    **dict.fromkeys(
        ("MEASUREMENT.unit_concept_id", "MEASUREMENT.unit_source_value", "DRUG_EXPOSURE.drug_concept_id",
         "DRUG_EXPOSURE.drug_type_concept_id", "DRUG_EXPOSURE.drug_source_value",
         "DRUG_EXPOSURE.drug_source_concept_id"), "measure",
    ),
    **dict.fromkeys(
        (f"DRUG_EXPOSURE.drug_exposure_{end}_{kind}" for end in ("start", "end") for kind in ("date", "datetime")),
        "timestamp",
    ),
    **dict.fromkeys(
        ("DRUG_EXPOSURE.drug_exposure_id", "CONDITION_OCCURRENCE.condition_occurrence_id",
         "VISIT_OCCURRENCE.preceding_visit_occurrence_id"), "record_key",
    ),
}  # fmt: skip
RECORDS = {
    "PERSON.person_id": "relie les tables d'une même personne, par un pseudonyme",
    "PERSON.gender_concept_id": "facteur de risque connu",
    "VISIT_OCCURRENCE.visit_occurrence_id": "relie une venue à ce qui s'y est fait",
    "VISIT_OCCURRENCE.person_id": "relie la venue à la personne",
    "VISIT_OCCURRENCE.visit_start_date": "ordre et durée des venues, décalées",
    "VISIT_OCCURRENCE.visit_end_date": "ordre et durée des venues, décalées",
    "VISIT_OCCURRENCE.provider_id": "continuité du suivi, par un pseudonyme",
    "CONDITION_OCCURRENCE.person_id": "relie la maladie à la personne",
    "CONDITION_OCCURRENCE.condition_concept_id": "maladies associées",
    "CONDITION_OCCURRENCE.condition_start_date": "depuis quand, décalé",
    "DRUG_EXPOSURE.person_id": "relie le traitement à la personne",
    "DRUG_EXPOSURE.drug_concept_id": "traitement suivi",
    "DRUG_EXPOSURE.drug_exposure_start_date": "début du traitement, décalé",
    "MEASUREMENT.person_id": "relie la mesure à la personne",
    "MEASUREMENT.visit_occurrence_id": "relie la mesure à sa venue",
    "MEASUREMENT.measurement_concept_id": "ce qui est mesuré",
    "MEASUREMENT.value_as_number": "glycémie, tension, poids",
    "MEASUREMENT.measurement_date": "jour de la mesure, décalé",
    "PROVIDER.provider_id": "distingue les soignants sans les nommer",
}


def describe(story: Story):
    paul, zone = present(story, "paul"), f"/zones/{story.memory.hospital}"
    page = paul.page(f"{zone}/jeux/nouveau/")
    ward = page.tree.xpath("//select[@name='service']/option[contains(., 'diabétologie')]/@value")[0]
    answer = paul.submit(
        f"{zone}/jeux/nouveau/", title="Dossiers de soins, modèle OMOP",
        summary="Vingt-huit personnes, leurs venues, maladies, traitements et mesures, en tables liées par des clés.",
        domains=["clinical"], is_personal="yes", service=ward, period="1945 à 2019",
        origin="Synthea, New Jersey, au modèle OMOP 5.4 (OHDSI, EunomiaDatasets)", licence="Apache-2.0",
    )  # fmt: skip
    story.memory.records = slug_of(answer)


def send(story: Story):
    """Six files at once: each is a table; then all are examined, and their keys measured."""
    paul, slug = story.people["paul"], story.memory.records
    answer = paul.submit(f"/jeux/{slug}/versions/nouvelle/", file=[story.data / name for name in FILES])
    needs(answer, "en préparation", "Les tables se préparent avant l'examen")
    version = urlsplit(str(answer.url)).path
    answer = paul.submit(version, "preparation", act="receive")
    answer = story.wait(paul, version, lambda page: 'id="avancement"' not in page.text, timeout=60)
    needs(answer, "VISIT_OCCURRENCE", "Chaque table a été examinée")


def confirm(story: Story):
    """What was suggested with a reason is accepted with its keys; the rest is a measure, the steward says."""
    paul, slug = story.people["paul"], story.memory.records
    path = f"/jeux/{slug}/colonnes/"
    page = paul.page(f"{path}?revue=1")
    left: dict[str, Any] = {
        select.get("name"): "measure"
        for select in page.tree.xpath("//form[@id='roles']//select[starts-with(@name, 'role:')]")
        if not select.xpath("option[@selected][@value!='']")
    }
    chosen = {f"role:{name}": role for name, role in CHOSEN.items()}
    page = Page(paul.submit(path, "roles", act="suggested", **{**left, **chosen}))
    if "Toutes les colonnes sont confirmées" not in page.text:
        raise StepFailed(f"des colonnes restent sans rôle : {page.text[:600]}")
    shown = paul.page(f"/jeux/{slug}/").text
    if "PROVIDER.provider_id" not in shown:
        raise StepFailed("la page du jeu ne montre pas ses clés")
    publish(paul, slug)


draft = acts.draft_offer(
    "claire", "records", "records_offer", RECORDS,
    title="Dossiers de soins en tables, pour suivre le diabète", purposes=["diagnosis_support_rnd"],
    delivery_mode="environment", environment_klass="secure", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit", dpia_reference="AIPD 2026-16",
    dpia_validated_on=acts.paper_day(-50), basis_article_6="public_task", basis_article_9="9(2)(j)",
    mr_reference="MR-004, engagement du 3 mars 2026", record_reference="registre, fiche 44",
    notice_who="Des expérimentateurs agréés au registre public, pour mettre au point une aide au suivi du diabète.",
    notice_what="Des dossiers pseudonymisés : sexe, venues, maladies, traitements, mesures ; dates décalées.",
    notice_why="Voir plus tôt l'équilibre du diabète se perdre.",
    notice_basis="Mission d'intérêt public de l'hôpital ; recherche (RGPD art. 6(1)(e) et 9(2)(j)).",
    notice_until="Douze mois au plus par convention ; les copies sont détruites sous quinze jours.",
    notice_where="Dans un environnement sécurisé, hébergé en France chez un hébergeur certifié.",
)  # fmt: skip


# The release


def take_up(story: Story):
    acts.again(story, "julie")
    acts.take_up(
        "julie", "records_offer", "records_convention", solution="Suivi du diabète au long cours",
        purpose_code="diagnosis_support_rnd", basis_article_6="legitimate_interests", basis_article_9="9(2)(j)",
        ends_on=acts.paper_day(170),
    )(story)  # fmt: skip


def name_and_confirm(story: Story):
    acts.name_person("julie", "julie", "records_convention")(story)
    acts.again(story, "claire")
    acts.confirm_person("claire", "records_convention")(story)


def opened(story: Story):
    """One archive: six tables whose keys join inside it, and no number of the hospital's."""
    import duckdb

    acts.give_order("julie", "records_release", "records_order")(story)
    clear = acts.opened(story, acts.pull(story, story.memory.records_order).content)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(clear)) as archive:
        archive.extractall(folder)
        package = json.loads((Path(folder) / "datapackage.json").read_text())
        paths = {resource["name"]: Path(folder) / resource["path"] for resource in package["resources"]}
        told = sorted(path.stem for path in paths.values())
        if told != sorted(TABLES):
            raise StepFailed(f"l'archive porte ces tables : {', '.join(told)}")
        held = {path.stem: str(path) for path in paths.values()}
        with duckdb.connect() as engine:
            lost = engine.execute(
                "SELECT m.visit_occurrence_id FROM read_parquet(?) m WHERE m.visit_occurrence_id IS NOT NULL AND NOT "
                "EXISTS (SELECT 1 FROM read_parquet(?) v WHERE v.visit_occurrence_id = m.visit_occurrence_id "
                "AND v.pseudonym = m.pseudonym)",
                [held["MEASUREMENT"], held["VISIT_OCCURRENCE"]],
            ).fetchall()
            keys = {row[0] for row in engine.execute(
                "SELECT visit_occurrence_id FROM read_parquet(?)", [held["VISIT_OCCURRENCE"]]).fetchall()}  # fmt: skip
    if lost or not keys:
        raise StepFailed(f"{len(lost)} mesures ne trouvent pas leur venue parmi {len(keys)}")
    if any(key.isdigit() and len(key) < 32 for key in keys):
        raise StepFailed("un numéro de venue de l'hôpital se lit dans l'archive")


STEPS = [
    Step("décrit les dossiers de soins, en tables", "paul", describe),
    Step("envoie six tables OMOP à la fois : l'examen mesure leurs clés", "paul", send),
    Step("confirme les rôles et les clés, et publie", "paul", confirm),
    *acts.offer_steps(
        "records_offer", told="les dossiers", draft=draft, first="claire", second="hugo", signs="hugo", steward="paul",
        dpo="nadia", steward_says="Les clés suffisent à suivre une personne ; ni date de naissance ni soignant nommé.",
        dpo_says="Favorable : AIPD à jour, dates décalées, une seule archive scellée.",
    ),
]  # fmt: skip

# Played after the standing notices have run.
RELEASES = [
    Step("reprend l'offre sur les dossiers, approuvée aussitôt", "julie", take_up),
    Step("signe la convention sur les dossiers", "julie", acts.sign("julie", "records_convention")),
    Step("se désigne ; l'hôpital confirme", "julie", name_and_confirm),
    Step("suit la formation et s'engage", "julie", acts.train("julie", "records_convention")),
    Step("demande les six tables", "julie", acts.ask_release("julie", "records_convention", "records_release")),
    Step("suit leur préparation", "julie", acts.wait_release("julie", "records_release")),
    Step("ouvre l'archive : les clés se rejoignent, aucune n'est celle de l'hôpital", "julie", opened),
]
