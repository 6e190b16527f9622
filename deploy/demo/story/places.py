"""An eco-district, a city, a mountain road and a care network open; a town below the threshold is refused."""

from collections.abc import Callable
from typing import Any

from deploy.demo.story import Page, Person, Step, StepFailed, Story
from deploy.demo.story.zones import ago, needs, slug_of

COMMON_ROLES = ("operate", "steward")  # the second officer countersigns and answers for the data

DISTRICT = {
    "name": "Écoquartier des Granges",
    "description": "Éprouver le pilotage de la consommation, la recharge des véhicules et le stockage dans un quartier "
    "qui produit une part de son électricité, avec les habitants qui l'ont accepté.",
    "communes": "38151",
    "contact_email": "experimentations@granges.example",
    "dpo_email": "dpo@granges.example",
    "information_system": "Plateforme de comptage du quartier et supervision des bornes",
    "intermittent_production": "operational",
    "demand_management": "operational",
    "electric_vehicles": "operational",
    "electric_public_transport": "planned",
    "smart_city": "planned",
    "programme": "FLEXGRID",
}
HEATING = {
    "name": "Chaufferie des Granges",
    "description": "Éprouver la maintenance prédictive des chaudières à bois et le suivi de leurs fumées.",
    "communes": "38151",
    "contact_email": "chaufferie@granges.example",
    "dpo_email": "dpo@granges.example",
    "information_system": "Supervision de la chaufferie",
    "siret": "90000009200016",
    "icpe": "Rubrique 2910, déclaration du 4 mars 2024",
    "predictive_maintenance": True,
    "emissions": True,
}
NETWORK = {
    "name": "Réseau de soins des Alloves",
    "description": "Éprouver le suivi partagé des maladies chroniques entre la pharmacie, les médecins et le centre de "
    "santé d'une même ville.",
    "communes": "38421",
    "contact_email": "experimentations@soins-alloves.example",
    "dpo_email": "dpo@soins-alloves.example",
    "information_system": "Dossier partagé du réseau",
    "pharmacy": "Pharmacie des Alloves",
    "general_practice": "Cabinet médical du Village",
    "care_structure": "Centre de santé Henri-Wallon",
}
JOINED = {"pharmacy_joined_on": 260, "general_practice_joined_on": 253, "care_structure_joined_on": 246}  # days ago
MEMBERS = (
    ("Pharmacie des Alloves", "Dr Salomé Weber"),
    ("Cabinet médical du Village", "Dr René Cohen"),
    ("Centre de santé Henri-Wallon", "Dr Awa Traoré"),
)
CITY: dict[str, Any] = {
    "name": "Ville d'essai de l'Ouest",
    "description": "Éprouver des véhicules automatisés et leur coopération avec les feux, de jour comme de nuit.",
    "contact_email": "experimentations@essais-ouest.example",
    "dpo_email": "dpo@essais-ouest.example",
    "information_system": "Recueil des véhicules d'essai et des feux communicants",
    "infrastructure": "42 carrefours à feux communicants, 18 unités de bord de route ITS-G5",
    "hd_map": "Carte de précision levée en avril 2026, 63 km de voies",
}
MOUNTAIN = {
    "name": "Route de l'Oisans, de La Grave au Bourg-d'Oisans",
    "description": "Éprouver la conduite automatisée en pente, en lacets et sur chaussée enneigée, sur la D1091.",
    "communes": "05063 38052",
    "contact_email": "experimentations@routes-oisans.example",
    "dpo_email": "dpo@routes-oisans.example",
    "information_system": "Stations météo routières et comptages de la D1091",
    "winding": True,
    "steep": True,
    "winter": True,
    "road_profile": "Relevé de pente et de courbure de la D1091, avril 2026",
    "winter_data": "Neige et gel aux deux stations, hivers 2023 à 2026",
    # From La Grave down to Le Bourg-d'Oisans: kilometre, rounded altitude (m).
    "altitudes": "0 1480\n3,5 1330\n6,5 1180\n9,5 1060\n12 1040\n14,5 930\n17 850\n20 745\n24 725\n27,5 720",
}


def prepare(who: str, kind: str, key: str, file: dict, **days) -> Callable[[Story], None]:
    """The draft of a zone from its file; `story.memory[key]` is its slug."""

    def run(story: Story):
        answer = story.entered(who).submit(f"/zones/nouvelle/?nature={kind}", **file, **days)
        story.memory[key] = slug_of(answer)
        needs(answer, "Prête à ouvrir", f"Le dossier de « {file['name']} » est complet")

    return run


def _name(story: Story, first: Person, key: str, colleagues: dict[str, tuple[str, ...]]):
    for colleague, roles in colleagues.items():
        for role in roles:
            first.submit(
                f"/zones/{story.memory[key]}/personnes/", "give", person=story.people[colleague].email, role=role
            )


def _propose(story: Story, first: Person, key: str):
    needs(first.submit(f"/zones/{story.memory[key]}/", "open"), "Ouverture proposée", "Une deuxième personne manque")


def _site(story: Story, who: Person, key: str, name: str, commune: str, latitude: str, longitude: str, sensor=()):
    zone = f"/zones/{story.memory[key]}"
    who.submit(f"{zone}/sites/nouveau/", name=name, commune=commune, latitude=latitude, longitude=longitude)
    if sensor:
        options = who.page(f"{zone}/capteurs/nouveau/").tree.xpath("//select[@name='site']/option")
        place = next(o.get("value") for o in options if name in o.text_content())
        what, kind, measures = sensor
        who.submit(f"{zone}/capteurs/nouveau/", site=place, name=what, kind=kind, measures=measures)


def countersign(who: str, key: str) -> Callable[[Story], None]:
    """The second of two persons opens the zone from their desk."""

    def run(story: Story):
        second, zone = story.entered(who), f"/zones/{story.memory[key]}/"
        second.follow("/bureau/", zone)
        needs(second.submit(zone, "open"), "La zone est ouverte", "Deux personnes ouvrent la zone")

    return run


def propose_district(story: Story):
    elise = story.people["elise"]
    _site(story, elise, "district", "Maison du quartier", "38151", "45.1436", "5.7180",
          ("Compteurs communicants", "compteur d'électricité", "puissance (kW), toutes les 30 minutes"))  # fmt: skip
    _site(story, elise, "district", "Parking des bornes", "38151", "45.1462", "5.7096")
    _name(story, elise, "district", {"bruno": COMMON_ROLES, "dalia": ("advise",)})
    _propose(story, elise, "district")


def propose_heating(story: Story):
    elise = story.people["elise"]
    _name(story, elise, "heating", {"bruno": COMMON_ROLES, "dalia": ("advise",)})
    _site(story, elise, "heating", "Chaudières à bois", "38151", "45.1408", "5.7240",
          ("Analyseur de fumées", "analyseur de gaz", "NOx, CO (mg/Nm3), chaque minute"))  # fmt: skip
    _propose(story, elise, "heating")


def propose_network(story: Story):
    maud, zone = story.people["maud"], f"/zones/{story.memory.network}"
    for name, head in MEMBERS:
        maud.submit(
            f"{zone}/services/nouveau/", name=name, head_name=head, participation_from=ago(60),
            participation_until=ago(-700),
        )  # fmt: skip
    _site(story, maud, "network", "Centre de santé Henri-Wallon", "38421", "45.1672", "5.7641")
    _name(story, maud, "network", {"rene": COMMON_ROLES, "fatou": ("advise",)})
    _propose(story, maud, "network")


def present_too_small_a_town(story: Story):
    alix = story.entered("alix")
    answer = alix.submit("/zones/nouvelle/?nature=av_city", **CITY, communes="85194", frame_adopted_on=ago(30))
    story.memory.city = slug_of(answer)
    refused = alix.submit(f"/zones/{story.memory.city}/", "open", expect=403)
    story.refused("présente Les Sables-d'Olonne", "alix", refused, "Z40")
    if "Les Sables-d'Olonne" not in Page(refused).text:
        raise StepFailed(f"le refus ne nomme pas la commune : {Page(refused).text[:400]}")


def propose_city(story: Story):
    alix, zone = story.people["alix"], f"/zones/{story.memory.city}"
    alix.submit(f"{zone}/modifier/", communes="35238", name="Rennes, ville d'essai")
    _site(story, alix, "city", "Carrefour de la République", "35238", "48.1093", "-1.6790",
          ("Feux communicants", "unité de bord de route", "état des feux, messages CAM et DENM reçus"))  # fmt: skip
    _name(story, alix, "city", {"noe": COMMON_ROLES, "irene": ("advise",)})
    _propose(story, alix, "city")


def propose_mountain(story: Story):
    odile = story.people["odile"]
    _site(story, odile, "mountain", "Station du Chambon", "38052", "45.0420", "6.1340",
          ("Station météo routière", "station météo", "température de chaussée (°C), neige (cm), toutes les 6 minutes"),
          )  # fmt: skip
    _site(story, odile, "mountain", "Comptage de La Grave", "05063", "45.0460", "6.3050")
    _name(story, odile, "mountain", {"pierre": COMMON_ROLES, "jade": ("advise",)})
    _propose(story, odile, "mountain")


ACCIDENTS = {
    "title": "Accidents corporels de la circulation",
    "summary": "Une ligne par accident avec blessé ou tué en France, ses lieux, ses véhicules et ses usagers : pour "
    "situer la route de l'Oisans parmi les autres.",
    "open_url": "https://www.data.gouv.fr/fr/datasets/bases-de-donnees-annuelles-des-accidents-corporels-de-la-"
    "circulation-routiere-annees-de-2005-a-2023/",
    "origin": "Observatoire national interministériel de la sécurité routière (ONISR), fichier BAAC",
    "licence": "Licence Ouverte 2.0 (Etalab)",
    "domains": ["road_infrastructure"],
    "is_personal": "yes",
    "period": "depuis 2005",
}
FACILITIES = {
    "title": "Statistique annuelle des établissements de santé (SAE)",
    "summary": "Une ligne par établissement : lits, passages aux urgences, équipements, personnels. Pour savoir quels "
    "établissements entourent le réseau.",
    "open_url": "https://data.drees.solidarites-sante.gouv.fr/explore/dataset/708_bases-statistiques-sae/",
    "origin": "Direction de la recherche, des études, de l'évaluation et des statistiques (DREES)",
    "licence": "Licence Ouverte 2.0 (Etalab)",
    "domains": ["equipment_status"],
    "is_personal": "no",
    "period": "2013 à 2024",
}


def list_open_data(who: str, zone: str, file: dict, dataset: str) -> Callable[[Story], None]:
    """Data that are open elsewhere: a link on the catalogue, without version, offer nor convention."""

    def run(story: Story):
        person, path = story.entered(who), f"/zones/{story.memory[zone]}"
        person.follow(f"{path}/", f"{path}/jeux/ailleurs/")
        answer = person.submit(f"{path}/jeux/ailleurs/", **file)
        story.memory[dataset] = slug_of(answer)
        if not Page(answer).links(file["open_url"]):
            raise StepFailed("la page du jeu ouvert ailleurs ne mène pas à sa source")
        if file["title"] not in person.page("/catalogue/?access=open").text:
            raise StepFailed("le catalogue ne montre pas le jeu ouvert ailleurs")

    return run


OPENED = {
    "hospital": "hospital", "motorway": "av_motorway", "district": "eco_district", "network": "care_network",
    "city": "av_city", "mountain": "av_mountain",
}  # fmt: skip


def look_at_zones(story: Story):
    """What any visitor reads on the six pages goes to the summary: figures come from there, not from here."""
    visitor = story.entered("alix")
    listed = visitor.page("/zones/")
    for key, kind in OPENED.items():
        address = f"/zones/{story.memory[key]}/"
        if not listed.links(address):
            raise StepFailed(f"la liste des zones ne montre pas {address}")
        page = visitor.page(address)
        told: dict[str, Any] = {"kind": kind}
        if length := page.tree.xpath("//data[@id='length_km']/@value"):
            told["length_km"] = float(length[0])
        elif populations := page.tree.xpath("//*[@id='where']//data/@value"):
            told["commune"] = page.tree.xpath("//*[@id='where']//dt/text()")[0].rpartition(" (")[0]
            told["population"] = int(populations[0])
        else:
            raise StepFailed(f"{address} ne dit ni population ni longueur")
        story.zones.append(told)


STEPS: list[Step] = [
    Step("prépare l'écoquartier d'Échirolles", "elise",
         prepare("elise", "eco_district", "district", DISTRICT, frame_adopted_on=ago(40),
                 general_information_on=ago(70))),
    Step("ajoute ses sites, nomme ses collègues et propose l'ouverture", "elise", propose_district),
    Step("contresigne : l'écoquartier est ouvert", "bruno", countersign("bruno", "district")),
    Step("prépare la chaufferie, un site industriel", "elise",
         prepare("elise", "industrial_site", "heating", HEATING, frame_adopted_on=ago(20),
                 employees_informed_on=ago(25))),
    Step("propose l'ouverture de la chaufferie", "elise", propose_heating),
    Step("contresigne : la chaufferie est ouverte", "bruno", countersign("bruno", "heating")),
    Step("prépare le réseau de soins de Saint-Martin-d'Hères", "maud",
         prepare("maud", "care_network", "network", NETWORK, frame_adopted_on=ago(35),
                 general_information_on=ago(50), **{name: ago(days) for name, days in JOINED.items()})),
    Step("ajoute ses trois membres et propose l'ouverture", "maud", propose_network),
    Step("contresigne : le réseau de soins est ouvert", "rene", countersign("rene", "network")),
    Step("présente Les Sables-d'Olonne, moins de 50 000 habitants : refusé", "alix", present_too_small_a_town),
    Step("présente Rennes et propose l'ouverture", "alix", propose_city),
    Step("contresigne : la ville d'essai est ouverte", "noe", countersign("noe", "city")),
    Step("prépare la route de montagne de l'Oisans", "odile",
         prepare("odile", "av_mountain", "mountain", MOUNTAIN, frame_adopted_on=ago(28))),
    Step("ajoute ses stations et propose l'ouverture", "odile", propose_mountain),
    Step("contresigne : la route de montagne est ouverte", "pierre", countersign("pierre", "mountain")),
    Step("signale les accidents de la route, déjà ouverts ailleurs", "pierre",
         list_open_data("pierre", "mountain", ACCIDENTS, "open_accidents")),
    Step("signale la statistique des établissements, déjà ouverte ailleurs", "rene",
         list_open_data("rene", "network", FACILITIES, "open_facilities")),
    Step("lit les six zones comme tout visiteur", "alix", look_at_zones),
]  # fmt: skip
