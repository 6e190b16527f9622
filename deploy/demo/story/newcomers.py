"""Cardélia and Flexio sign up and are accredited, each for its own scope."""

from deploy.demo.story import Step, acts

CARDELIA = {"domains": ["clinical"], "zone_kinds": ["hospital"]}
FLEXIO = {
    "domains": [
        "energy_metering",
        "ev_charging",
        "road_infrastructure",
        "environment",
        "mobility_trace",
        "community_care",
    ],
    "zone_kinds": ["eco_district", "care_network", "av_city", "av_mountain", "av_motorway"],
}


def _arrives(who: str, name: str, kept_as: str, scope: dict[str, list[str]]) -> list[Step]:
    return [
        Step("ouvre un compte et installe son second facteur", who, acts.sign_up(who)),
        Step(f"déclare sa start-up, {name}", who, acts.found(who)),
        Step("demande l'agrément, dossier complet du premier coup", who, acts.ask_accreditation(who, **scope)),
        Step(f"donne un premier avis favorable sur {name}", "sophie", acts.accredit("sophie", second=False)),
        Step(f"confirme en second : {name} est agréée", "karim", acts.accredit("karim", second=True)),
        Step("déclare et atteste l'environnement de traitement", who,
             acts.declare_environment(who, name=f"Bulle de {name}", kept_as=kept_as)),
        Step("crée l'identifiant de la machine", who, acts.make_credential(who, kept_as=kept_as)),
    ]  # fmt: skip


STEPS = [
    *_arrives("lucie", "Cardélia", "_cardelia", CARDELIA),
    *_arrives("theo", "Flexio", "_flexio", FLEXIO),
]
