"""The cast of the demo: who they are, what each sees, where each should look first. Plain values, no database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """An organisation of the cast."""

    key: str
    name: str
    kind: str
    siren: str
    siret: str
    legal_form: str
    is_public_body: bool = False


@dataclass(frozen=True, slots=True)
class Character:
    """A person of the cast. `seeded` is false for those who sign up during the story."""

    key: str
    full_name: str
    title: str
    body: str
    roles: tuple[str, ...]
    sees: str
    look_first: str
    mandate: str = ""
    seeded: bool = True

    @property
    def email(self) -> str:
        return f"{self.key}@{DOMAINS[self.body]}"


# SIREN and SIRET that pass the Luhn check and belong to no company: the demo's own.
BODIES = (
    Body("hospital", "Centre hospitalier des Deux-Rives", "operator", "260099981", "26009998100011",
         "établissement public de santé", is_public_body=True),
    Body("motorway", "Autoroutes du Dauphiné", "operator", "900000050", "90000005000014", "société anonyme"),
    Body("agency", "Agence du registre des expérimentateurs", "agency", "130099989", "13009998900019",
         "groupement d'intérêt public", is_public_body=True),
    Body("watch", "Cabinet Vigie", "audit", "900000068", "90000006800016", "société par actions simplifiée"),
)  # fmt: skip

# The only trace of Glycéa before it signs up: its line in the companies directory.
DIRECTORY = (
    {"siren": "900000076", "siret": "90000007600019", "name": "Glycéa", "representative": "Julie Caron"},
    {"siren": "900000084", "siret": "90000008400013", "name": "Capteurs de la Drôme", "representative": "Yann Perret"},
)

DOMAINS = {
    "hospital": "deux-rives.example",
    "motorway": "autoroutes-dauphine.example",
    "agency": "agence-registre.example",
    "watch": "cabinet-vigie.example",
    "glycea": "glycea.example",
}

OFFICER = ("member",)
OFFICER_AND_REPRESENTATIVE = ("member", "legal_representative")

CAST = (
    Character("claire", "Claire Morel", "responsable des données", "hospital", OFFICER,
              "la zone hospitalière, ses jeux, ses offres", "/bureau/"),
    Character("hugo", "Hugo Lambert", "directeur adjoint, représentant légal", "hospital", OFFICER_AND_REPRESENTATIVE,
              "ce qui attend une deuxième personne ou une signature", "/bureau/",
              mandate="délibération du conseil de surveillance du 12 janvier 2026"),
    Character("nadia", "Nadia Benali", "déléguée à la protection des données", "hospital", OFFICER,
              "les avis demandés au DPO", "/bureau/"),
    Character("paul", "Dr Paul Girard", "chef de service", "hospital", OFFICER,
              "les colonnes, leurs rôles, les oppositions de son service", "/catalogue/"),
    Character("ines", "Inès Fabre", "directrice, représentante légale", "motorway", OFFICER_AND_REPRESENTATIVE,
              "la zone autoroutière", "/bureau/", mandate="statuts, article 14"),
    Character("marc", "Marc Olivier", "responsable d'exploitation", "motorway", OFFICER,
              "ce qui attend une deuxième personne", "/bureau/"),
    Character("lea", "Léa Petit", "déléguée à la protection des données", "motorway", OFFICER,
              "les avis demandés au DPO", "/bureau/"),
    Character("tom", "Tom Roux", "responsable des capteurs", "motorway", OFFICER,
              "les comptages de trafic", "/catalogue/"),
    Character("sophie", "Sophie Martin", "instructrice du registre", "agency", ("registry_officer",),
              "les demandes d'agrément", "/bureau/"),
    Character("karim", "Karim Haddad", "instructeur du registre", "agency", ("registry_officer",),
              "les demandes d'agrément", "/bureau/"),
    Character("anne", "Anne Leroy", "auditrice", "watch", ("auditor",),
              "tout le journal, et sa preuve", "/journal/"),
    Character("julie", "Julie Caron", "fondatrice de Glycéa", "glycea", (),
              "sa start-up : agrément, conventions, environnements", "/bureau/", seeded=False),
    Character("samir", "Samir Diallo", "analyste, personne habilitée", "glycea", (),
              "ses conventions et leurs remises", "/conventions/", seeded=False),
)  # fmt: skip


def character(key: str) -> Character:
    return next(one for one in CAST if one.key == key)
