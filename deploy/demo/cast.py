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
    Body("district", "Société d'aménagement des Granges", "operator", "900000092", "90000009200016",
         "société d'économie mixte"),
    Body("grid", "Réseau électrique du Drac", "holder", "900000100", "90000010000017", "société anonyme"),
    Body("network", "Réseau de soins des Alloves", "operator", "900000118", "90000011800019",
         "groupement de coopération sanitaire"),
    Body("city", "Mobilités d'essai de l'Ouest", "operator", "200099984", "20009998400011",
         "syndicat mixte", is_public_body=True),
    Body("mountain", "Routes de l'Oisans", "operator", "220099980", "22009998000017",
         "établissement public départemental", is_public_body=True),
    Body("agency", "Agence du registre des expérimentateurs", "agency", "130099989", "13009998900019",
         "groupement d'intérêt public", is_public_body=True),
    Body("watch", "Cabinet Vigie", "audit", "900000068", "90000006800016", "société par actions simplifiée"),
)  # fmt: skip

# The only trace of the start-ups before they sign up: their lines in the companies directory.
DIRECTORY = (
    {"siren": "900000076", "siret": "90000007600019", "name": "Glycéa", "representative": "Julie Caron"},
    {"siren": "900000126", "siret": "90000012600012", "name": "Cardélia", "representative": "Lucie Arnaud"},
    {"siren": "900000134", "siret": "90000013400016", "name": "Flexio", "representative": "Théo Blanc"},
    {"siren": "900000084", "siret": "90000008400013", "name": "Capteurs de la Drôme", "representative": "Yann Perret"},
)

# Who is not seeded and where they belong once they have signed up.
NEWCOMERS = {"glycea": "Glycéa", "cardelia": "Cardélia", "flexio": "Flexio"}

DOMAINS = {
    "hospital": "deux-rives.example",
    "motorway": "autoroutes-dauphine.example",
    "agency": "agence-registre.example",
    "watch": "cabinet-vigie.example",
    "district": "granges.example",
    "grid": "reseau-drac.example",
    "network": "soins-alloves.example",
    "city": "essais-ouest.example",
    "mountain": "routes-oisans.example",
    "glycea": "glycea.example",
    "cardelia": "cardelia.example",
    "flexio": "flexio.example",
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
    Character("elise", "Élise Garnier", "directrice, représentante légale", "district", OFFICER_AND_REPRESENTATIVE,
              "l'écoquartier, ses jeux et ses offres", "/bureau/", mandate="statuts, article 11"),
    Character("bruno", "Bruno Lefèvre", "responsable de l'énergie", "district", OFFICER,
              "les relevés et les recharges, ce qui attend une deuxième personne", "/bureau/"),
    Character("dalia", "Dalia Haddou", "déléguée à la protection des données", "district", OFFICER,
              "les avis demandés au DPO, les consentements", "/bureau/"),
    Character("gilles", "Gilles Payan", "directeur, représentant légal", "grid", OFFICER_AND_REPRESENTATIVE,
              "les conventions que le détenteur des données doit signer", "/bureau/",
              mandate="délégation du directoire du 3 février 2026"),
    Character("maud", "Maud Ferrand", "coordinatrice, représentante légale", "network", OFFICER_AND_REPRESENTATIVE,
              "le réseau de soins et ses membres", "/bureau/", mandate="convention constitutive, article 9"),
    Character("rene", "René Cohen", "médecin coordonnateur", "network", OFFICER,
              "les patients du réseau, ce qui attend une deuxième personne", "/bureau/"),
    Character("fatou", "Fatou Diop", "déléguée à la protection des données", "network", OFFICER,
              "les avis demandés au DPO", "/bureau/"),
    Character("alix", "Alix Le Goff", "directrice, représentante légale", "city", OFFICER_AND_REPRESENTATIVE,
              "la ville d'essai", "/bureau/", mandate="délibération du comité syndical du 9 mars 2026"),
    Character("noe", "Noé Tanguy", "responsable des données", "city", OFFICER,
              "les véhicules d'essai, ce qui attend une deuxième personne", "/bureau/"),
    Character("irene", "Irène Kerbrat", "déléguée à la protection des données", "city", OFFICER,
              "les avis demandés au DPO", "/bureau/"),
    Character("odile", "Odile Raffin", "directrice, représentante légale", "mountain", OFFICER_AND_REPRESENTATIVE,
              "la route de montagne", "/bureau/", mandate="arrêté du 20 février 2026"),
    Character("pierre", "Pierre Sibille", "responsable de la sécurité routière", "mountain", OFFICER,
              "les accidents, ce qui attend une deuxième personne", "/bureau/"),
    Character("jade", "Jade Martinet", "déléguée à la protection des données", "mountain", OFFICER,
              "les avis demandés au DPO", "/bureau/"),
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
    Character("lucie", "Lucie Arnaud", "fondatrice de Cardélia, personne habilitée", "cardelia", (),
              "une autre convention sur les mêmes patients", "/bureau/", seeded=False),
    Character("theo", "Théo Blanc", "fondateur de Flexio, personne habilitée", "flexio", (),
              "l'énergie, la route et le réseau de soins", "/bureau/", seeded=False),
)  # fmt: skip


def character(key: str) -> Character:
    return next(one for one in CAST if one.key == key)
