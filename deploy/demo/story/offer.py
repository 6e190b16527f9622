"""Two operators decide once what they supply: the hospital's stays, the motorway's traffic."""

from datetime import date, timedelta

from deploy.demo.story import Page, Step, StepFailed, Story

# Why each column is needed. What is not here stays with the operator; `race` is of reinforced sensitivity.
STAYS = {
    "patient_nbr": "relie les séjours d'une même personne, par un pseudonyme",
    "race": "mesure si l'alerte est aussi juste d'un groupe à l'autre",
    "gender": "facteur de risque connu",
    "age": "premier facteur de risque, par tranches",
    "admission_type_id": "distingue l'urgence de l'admission programmée",
    "discharge_disposition_id": "dit si la personne rentre chez elle, donc si une réadmission se peut",
    "time_in_hospital": "gravité du séjour",
    "num_lab_procedures": "intensité du suivi",
    "num_procedures": "intensité des soins",
    "num_medications": "poids du traitement",
    "number_inpatient": "hospitalisations de l'année passée, premier signe d'une réadmission",
    "diag_1": "motif principal du séjour",
    "number_diagnoses": "maladies associées",
    "max_glu_serum": "glycémie mesurée",
    "A1Cresult": "équilibre du diabète sur trois mois",
    "insulin": "traitement par insuline et son ajustement",
    "diabetesMed": "présence d'un traitement du diabète",
    "readmitted": "ce que l'alerte cherche à prévoir",
}
TRAFFIC = {
    "holiday": "jours où le trafic change",
    "temp": "état de la chaussée",
    "rain_1h": "pluie, qui ralentit",
    "snow_1h": "neige, qui arrête",
    "clouds_all": "lumière",
    "weather_main": "temps en un mot",
    "weather_description": "temps en détail",
    "date_time": "heure de la mesure",
    "traffic_volume": "ce que la solution prévoit",
}


def _draft(person: str, dataset: str, offer: str, reasons: dict[str, str], **conditions):
    """The officer fills the offer's form: one reason a column supplied, the conditions once."""

    def run(story: Story):
        officer, slug = story.entered(person), story.memory[dataset]
        officer.follow(f"/jeux/{slug}/", f"/jeux/{slug}/offres/nouvelle/")
        page = officer.page(f"/jeux/{slug}/offres/nouvelle/")
        fields = {}
        for name, why in reasons.items():
            include = page.tree.xpath(f"//tr[th/code[text()='{name}']]//input[contains(@name, '-include')]/@name")
            if not include:
                raise StepFailed(f"la colonne {name} n'est pas proposée à l'offre de {slug}")
            prefix = include[0].rpartition("-")[0]
            fields |= {f"{prefix}-include": True, f"{prefix}-justification": why}
            if page.tree.xpath(f"//input[@name='{prefix}-approves_sensitive']"):
                fields[f"{prefix}-approves_sensitive"] = True
        today = date.today()  # noqa: DTZ011  a paper's own date, before the demo's clock has moved
        answer = officer.submit(
            f"/jeux/{slug}/offres/nouvelle/", "offre", starts_on=today, ends_on=today + timedelta(days=365),
            **conditions, **fields,
        )  # fmt: skip
        story.memory[offer] = int(answer.url.path.strip("/").split("/")[-1])

    return run


draft_stays = _draft(
    "claire", "stays", "stays_offer", STAYS,
    title="Séjours de patients diabétiques, pour prévenir la réadmission",
    purposes=["diagnosis_support_rnd", "care_organisation_rnd"], delivery_mode="environment",
    environment_klass="secure", models_fate="kept_with_attestation", results_owner="l'Expérimentateur",
    price="gratuit", dpia_reference="AIPD 2026-07", dpia_validated_on=date.today() - timedelta(days=90),  # noqa: DTZ011
    basis_article_6="public_task", basis_article_9="9(2)(j)", mr_reference="MR-004, engagement du 3 mars 2026",
    record_reference="registre, fiche 31",
    notice_who="Des expérimentateurs agréés au registre public, pour mettre au point une aide au suivi du diabète.",
    notice_what="Des extraits pseudonymisés : tranche d'âge, sexe, durée, examens, traitements, réadmission.",
    notice_why="Repérer plus tôt les personnes qui risquent d'être réhospitalisées.",
    notice_basis="Mission d'intérêt public de l'hôpital ; recherche (RGPD art. 6(1)(e) et 9(2)(j)).",
    notice_until="Douze mois au plus par convention ; les copies sont détruites sous quinze jours.",
    notice_where="Dans un environnement sécurisé, hébergé en France chez un hébergeur certifié.",
)  # fmt: skip

draft_traffic = _draft(
    "ines", "traffic", "traffic_offer", TRAFFIC,
    title="Comptages horaires de trafic et météo", purposes=["traffic_rnd", "driving_rnd"],
    delivery_mode="file_download", environment_klass="workstation", models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur", price="gratuit",
)  # fmt: skip


def _submit(person: str, offer: str):
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/"
        story.entered(person).follow(path, f"{path}soumettre/")
        story.entered(person).submit(f"{path}soumettre/", "soumettre")

    return run


def _opinion(person: str, offer: str, text: str):
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/avis/"
        story.entered(person).follow("/bureau/", path)
        story.entered(person).submit(path, "avis", is_favourable="yes", text=text)

    return run


def _mandate(person: str, offer: str):
    def run(story: Story):
        signatory, path = story.entered(person), f"/offres/{story.memory[offer]}/mandat/"
        signatory.follow("/bureau/", path)
        signatory.submit(path, "mandat", code=signatory.code())

    return run


def _publish(person: str, offer: str, *, second: bool):
    def run(story: Story):
        path = f"/offres/{story.memory[offer]}/publier/"
        story.entered(person).follow("/bureau/", path)
        answer = story.entered(person).submit(path, "publier", reason="Termes conformes à l'AIPD.")
        words = Page(answer).text
        if second and "publiée" not in words:
            raise StepFailed(f"l'offre n'est pas publiée après deux accords : {words[:300]}")

    return run


STEPS = [
    Step("prépare l'offre sur les séjours, colonne par colonne", "claire", draft_stays),
    Step("soumet l'offre à décision", "claire", _submit("claire", "stays_offer")),
    Step("donne l'avis du chef de service", "paul",
         _opinion("paul", "stays_offer", "Le service est prêt à accueillir l'essai ; les colonnes suffisent.")),
    Step("donne l'avis du DPO", "nadia",
         _opinion("nadia", "stays_offer", "Favorable : AIPD à jour ; l'origine, pour l'équité seulement.")),
    Step("signe les termes de l'offre, avec son mandat", "hugo", _mandate("hugo", "stays_offer")),
    Step("donne un premier accord à la publication", "claire", _publish("claire", "stays_offer", second=False)),
    Step("publie l'offre en second, la notice est en ligne", "hugo", _publish("hugo", "stays_offer", second=True)),
    Step("prépare l'offre sur le trafic", "ines", draft_traffic),
    Step("soumet l'offre sur le trafic", "ines", _submit("ines", "traffic_offer")),
    Step("donne l'avis du responsable des capteurs", "tom",
         _opinion("tom", "traffic_offer", "Comptages vérifiés, aucun véhicule n'y est reconnaissable.")),
    Step("donne l'avis du DPO sur le trafic", "lea",
         _opinion("lea", "traffic_offer", "Aucune donnée personnelle : rien ne s'oppose.")),
    Step("signe les termes de l'offre sur le trafic", "ines", _mandate("ines", "traffic_offer")),
    Step("donne un premier accord à l'offre sur le trafic", "ines", _publish("ines", "traffic_offer", second=False)),
    Step("publie l'offre sur le trafic en second", "marc", _publish("marc", "traffic_offer", second=True)),
]  # fmt: skip
