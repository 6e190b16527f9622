"""Two operators decide once what they supply: the hospital's stays, the motorway's traffic."""

from deploy.demo.story import Step, acts

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


draft_stays = acts.draft_offer(
    "claire",
    "stays",
    "stays_offer",
    STAYS,
    title="Séjours de patients diabétiques, pour prévenir la réadmission",
    purposes=["diagnosis_support_rnd", "care_organisation_rnd"],
    delivery_mode="environment",
    environment_klass="secure",
    models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur",
    price="gratuit",
    dpia_reference="AIPD 2026-07",
    dpia_validated_on=acts.paper_day(-90),
    basis_article_6="public_task",
    basis_article_9="9(2)(j)",
    mr_reference="MR-004, engagement du 3 mars 2026",
    record_reference="registre, fiche 31",
    notice_who="Des expérimentateurs agréés au registre public, pour mettre au point une aide au suivi du diabète.",
    notice_what="Des extraits pseudonymisés : tranche d'âge, sexe, durée, examens, traitements, réadmission.",
    notice_why="Repérer plus tôt les personnes qui risquent d'être réhospitalisées.",
    notice_basis="Mission d'intérêt public de l'hôpital ; recherche (RGPD art. 6(1)(e) et 9(2)(j)).",
    notice_until="Douze mois au plus par convention ; les copies sont détruites sous quinze jours.",
    notice_where="Dans un environnement sécurisé, hébergé en France chez un hébergeur certifié.",
)

draft_traffic = acts.draft_offer(
    "ines",
    "traffic",
    "traffic_offer",
    TRAFFIC,
    title="Comptages horaires de trafic et météo",
    purposes=["traffic_rnd", "driving_rnd"],
    delivery_mode="file_download",
    environment_klass="workstation",
    models_fate="kept_with_attestation",
    results_owner="l'Expérimentateur",
    price="gratuit",
)


STEPS = [
    Step("prépare l'offre sur les séjours, colonne par colonne", "claire", draft_stays),
    Step("soumet l'offre à décision", "claire", acts.submit_offer("claire", "stays_offer")),
    Step(
        "donne l'avis du chef de service",
        "paul",
        acts.give_opinion("paul", "stays_offer", "Le service est prêt à accueillir l'essai ; les colonnes suffisent."),
    ),
    Step(
        "donne l'avis du DPO",
        "nadia",
        acts.give_opinion("nadia", "stays_offer", "Favorable : AIPD à jour ; l'origine, pour l'équité seulement."),
    ),
    Step("signe les termes de l'offre, avec son mandat", "hugo", acts.sign_offer("hugo", "stays_offer")),
    Step(
        "donne un premier accord à la publication", "claire", acts.publish_offer("claire", "stays_offer", second=False)
    ),
    Step(
        "publie l'offre en second, la notice est en ligne",
        "hugo",
        acts.publish_offer("hugo", "stays_offer", second=True),
    ),
    Step("prépare l'offre sur le trafic", "ines", draft_traffic),
    Step("soumet l'offre sur le trafic", "ines", acts.submit_offer("ines", "traffic_offer")),
    Step(
        "donne l'avis du responsable des capteurs",
        "tom",
        acts.give_opinion("tom", "traffic_offer", "Comptages vérifiés, aucun véhicule n'y est reconnaissable."),
    ),
    Step(
        "donne l'avis du DPO sur le trafic",
        "lea",
        acts.give_opinion("lea", "traffic_offer", "Aucune donnée personnelle : rien ne s'oppose."),
    ),
    Step("signe les termes de l'offre sur le trafic", "ines", acts.sign_offer("ines", "traffic_offer")),
    Step(
        "donne un premier accord à l'offre sur le trafic",
        "ines",
        acts.publish_offer("ines", "traffic_offer", second=False),
    ),
    Step("publie l'offre sur le trafic en second", "marc", acts.publish_offer("marc", "traffic_offer", second=True)),
]
