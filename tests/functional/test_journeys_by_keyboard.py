"""Whole journeys with the keyboard alone, each page without a barrier: clerk, auditor, operator, start-up, inhabitant.

What came before a journey is made by the factories; what other people do meanwhile is done by the same actions that
their pages call; what the worker does is run where the worker would take it up.
"""

import base64
import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from django.core import mail

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.audit.signer import Signing
from broker.keys.store import KeyStore
from broker.releases import tasks as release_tasks
from consent import terms
from consent.models import Convention, DirectoryCompany, RegistryEntry, SealedRequest, StandingMandate
from consent.tasks import record_sealed_request
from consent.transitions import convention as conventions
from consent.transitions import registry
from tests import factories
from tests.functional.conftest import PASSWORD, code
from tests.functional.keyboard import Keys
from tests.logs import ORIGIN, sequencing, write
from zones import tasks
from zones.models import Dataset
from zones.reading import Reading
from zones.sealing import Seal


@pytest.fixture
def keys(visit, axe):
    """A browser of one's own, without a mouse: `keys()` for each person."""
    return lambda **look: Keys(visit("/", **look), axe)


def test_two_clerks_accredit_an_organisation(keys):
    agency = factories.organisation("agency", name="Agence du registre")
    sophie, karim = (
        factories.user(name, organisation=agency, role="registry_officer") for name in ("Sophie Martin", "Karim Haddad")
    )
    glycea = factories.organisation(name="Glycéa")
    entry = factories.registry_entry(
        glycea, status="under_review", checks=[{"label": "Assurance", "says": "valable", "ok": True}]
    )
    entry.accreditations.all().delete()

    first = keys().sign_in(sophie)
    first.follow("Instruire Glycéa", f"/registre/demandes/{entry.pk}/", "Glycéa")
    first.write("Motif", "Dossier complet.", within="#form-accredit").press("Donner un premier avis")
    first.arrived(f"/registre/demandes/{entry.pk}/")
    second = keys(width="phone").sign_in(karim)
    second.follow("Confirmer Glycéa", f"/registre/demandes/{entry.pk}/", "Glycéa")
    second.write("Motif", "Conforme.", within="#form-accredit").press("Confirmer en second")
    second.arrived(f"/registre/demandes/{entry.pk}/")

    entry.refresh_from_db()
    assert entry.status == RegistryEntry.Status.ACCREDITED
    assert "Décision prise" in second.page.locator(".messages").inner_text()


def test_an_auditor_finds_an_access_verifies_it_here_then_offline(keys, fresh_database, tmp_path):
    auditor = factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")
    convention = factories.convention()
    samir = convention.named_persons.get().user
    about = {"by": samir, "conv": convention.reference, "zone": convention.zone.reference}
    write(act="gate.decide", out="deny", reason=("G11",), detail={"message": "La convention est suspendue."}, **about)
    write(3, act="data.download", **about)
    write(2, act="zone.amend")
    log_on(fresh_database, tmp_path)

    anne = keys().sign_in(auditor)
    anne.follow("Chercher dans le journal", "/journal/", "Chercher dans le journal", within="main")
    first_sentence = anne.page.locator("main h1 + *").inner_text()
    anne.follow("Qui a accédé à ce jeu", "/journal/?question=acces#question")
    anne.select("Jeu de données", convention.offer.dataset.title).press("Chercher")
    anne.arrived("/journal/?question=acces*")
    shown = anne.page.locator(".event").all_inner_texts()
    anne.follow("inscription n° 4", "/journal/4/", "Inscription n° 4", within="main")
    said = verified_here(anne)
    anne.axe(anne.page)
    anne.to("button", "Télécharger son dossier")
    with anne.page.expect_download() as taken:
        anne.page.keyboard.press("Enter")

    assert first_sentence.startswith("Rien ne manque et rien n’a été modifié dans les")
    assert len(shown) == 4
    assert all("Samir Analyste" in line for line in shown)
    assert "La convention est suspendue." in shown[3]
    assert said == {"leaf": "ok", "path": "ok", "signature": "ok", "memory": "first", "verdict": "ok"}
    assert verified_offline(taken.value.path(), tmp_path) == 0

    write(300)  # what the browser remembered is now the beginning of a longer log, in other tiles
    log_on(fresh_database, tmp_path)
    assert verified_here(anne) == {**said, "memory": "ok"}
    assert verified_here(anne)["memory"] == "same"
    for name, tampering in TAMPERINGS.items():
        assert verified_here(anne, tampering)["verdict"] == "no", name
        assert anne.page.get_by_text("La vérification a échoué").is_visible(), name
    anne.axe(anne.page)
    anne.page.evaluate(FORGOTTEN_ED25519)
    assert verified_here(anne) == {**said, "signature": "skip", "memory": "same", "verdict": "skip"}
    anne.page.evaluate(ANOTHER_MEMORY)
    assert verified_here(anne)["memory"] == "no"


# A browser that does not know Ed25519; one that saw five other entries.
FORGOTTEN_ED25519 = """() => {
    SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException("", "NotSupportedError"));
}"""
ANOTHER_MEMORY = """localStorage.setItem("terrain-log", JSON.stringify(
    {...JSON.parse(localStorage.getItem("terrain-log")), size: 5, root: btoa("x".repeat(32))}))"""


def log_on(database, folder):
    """Put what was written so far into the tree, and sign."""
    with sequencing(database, folder) as sequencer:
        sequencer.catch_up()


def verified_here(hand, tampering=None) -> dict[str, str]:
    """Press the button; what each step found, and the verdict. `tampering` alters what the server answers."""
    page = hand.page
    if tampering:
        page.route("**/log/**", lambda route: route.fulfill(body=tampering(route.request.url, route.fetch().body())))
    hand.to("button", "Vérifier dans ce navigateur")
    page.evaluate("document.getElementById('verdict').dataset.result = ''")
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict [data-say]:not([hidden])")
    page.wait_for_selector("#verify:not([disabled])")
    if tampering:
        page.unroute("**/log/**")
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-step]')].map(step => [step.dataset.step, "
        "step.dataset.result]).concat([['verdict', document.getElementById('verdict').dataset.result]]))"
    )


def _in_the_path(address, body):
    """One hash of the path, one bit."""
    lines = body.decode().split("\n")
    if "/preuve/" in address:
        lines[2] = base64.b64encode(
            bytes([base64.b64decode(lines[2])[0] ^ 1]) + base64.b64decode(lines[2])[1:]
        ).decode()
    return "\n".join(lines)


def _in_the_size(address, body):
    """A checkpoint that claims one leaf more."""
    size = re.search(rb"\n\n[^\n]+\n(\d+)\n", body)
    return body.replace(b"\n%s\n" % size[1], b"\n%d\n" % (int(size[1]) + 1)) if size else body


def _in_the_key(address, body):
    """The key of another log of that name, whole and consistent."""
    return str(Signing(Path(tempfile.mkdtemp()), ORIGIN).signer.verifier) if address.endswith("/cle") else body


def _another_entry_s(address, body):
    """A good proof, of another entry."""
    return body.replace(b"index 4", b"index 5")


TAMPERINGS = {"path": _in_the_path, "size": _in_the_size, "key": _in_the_key, "entry": _another_entry_s}


def verified_offline(bundle: Path, folder: Path) -> int:
    """What the bundle's own script says, in a process that knows nothing of the house."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder / "dossier")
    return subprocess.run([sys.executable, "-I", "-S", "verify.py"], cwd=folder / "dossier", check=False).returncode


COUNTS = ("station", "hour", "vehicles", "rain")


@pytest.fixture
def folders(site, settings, tmp_path):
    """Keys, sources and releases of the test's own, where the worker and the site both look."""
    for name in ("SOURCES", "SCRATCH", "RELEASES"):
        setattr(settings, name, tmp_path / name.lower())
    (tmp_path / "keys").mkdir(mode=0o700)
    settings.KEY_STORE = str(tmp_path / "keys")
    return tmp_path


@pytest.fixture
def counts(tmp_path):
    """Hourly counts of vehicles at two stations: about nobody."""
    path = tmp_path / "comptages.csv"
    lines = [f"{station},{hour},{100 + hour * 7},{hour % 3}" for station in ("A7-nord", "A7-sud") for hour in range(48)]
    path.write_text("\n".join([",".join(COUNTS), *lines]) + "\n")
    return path


def motorway(folders):
    """A zone with its keys; the public half of the one its sources are sealed to."""
    zone = factories.zone("av_motorway", name="Autoroute du Dauphiné")
    KeyStore().create("token", f"zone:{zone.pk}")
    return zone, KeyStore().create("source", f"zone:{zone.pk}").public


def test_an_operator_goes_from_a_file_to_an_offer_lodged_for_decision(keys, folders, counts):
    zone, _ = motorway(folders)
    tom = factories.user("Tom Roux", organisation=zone.operator)
    for role in ("operate", "steward"):
        grants.give(tom, f"zones.{role}", zone, by=SYSTEM)

    hand = keys().sign_in(tom)
    hand.follow("Ajouter un jeu de données", "/jeux/nouveau/", within="main")
    hand.write("Titre", "Comptages horaires").write("En quelques mots", "Véhicules comptés par heure.")
    hand.tick("infrastructure routière").pick("Non, aucune").press("Ajouter")
    hand.arrived("/jeux/comptages-horaires/*")
    if "/versions/" not in hand.page.url:
        hand.follow("Envoyer un fichier", "/versions/nouvelle/", within="main")
    hand.attach("Fichier", counts).press("Envoyer et sceller").arrived("/jeux/comptages-horaires/*")
    dataset = Dataset.objects.get(slug="comptages-horaires")
    tasks.profile_version(dataset.versions.get().pk)  # the worker of the zone
    hand.page.locator("#avancement[hx-get]").wait_for(state="detached")  # the page opens itself anew when it is read
    hand.page.wait_for_load_state()
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Confirmer le rôle des colonnes", "/jeux/comptages-horaires/colonnes/", within="main")
    for name in COUNTS:
        hand.select(f"Rôle de {name}", "mesure")
    hand.press("Enregistrer les rôles choisis").arrived("/jeux/comptages-horaires/*")
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Publier « Comptages horaires »", "/jeux/comptages-horaires/", within="main")
    hand.follow("Publier", "/jeux/comptages-horaires/publier/", within="main")
    hand.press("Publier").arrived("/jeux/comptages-horaires/", "Comptages horaires")
    hand.follow("Préparer une offre", "/offres/nouvelle/", "Nouvelle offre", within="main")
    for name in ("hour", "vehicles"):
        hand.tick(f"remettre {name}").write(f"pourquoi {name} est nécessaire", "prévoir l'affluence")
    hand.write("Titre de l'offre", "Comptages, pour prévoir").tick("étudier et prévoir la circulation")
    hand.write("Titulaire des résultats", "l'expérimentateur").write("Prix d'accès", "gratuit")
    hand.day("Offre ouverte du", clock.today()).day("au (dernier jour inclus)", clock.today() + timedelta(days=365))
    hand.press("Enregistrer le brouillon").arrived("/offres/*")
    hand.follow("Soumettre", "/soumettre/", within="main")
    hand.press("Soumettre").arrived("/offres/*")

    dataset.refresh_from_db()
    assert dataset.status == Dataset.Status.PUBLISHED
    assert dataset.offers.get().status == "under_review"
    assert sorted(line.column.name for line in dataset.offers.get().columns.all()) == ["hour", "vehicles"]


def an_open_offer(folders, counts):
    """A published offer on sealed counts, signed by its operator in advance."""
    zone, recipient = motorway(folders)
    dataset = factories.dataset(
        zone, columns=[(name, "text" if name == "station" else "integer", "measure", "") for name in COUNTS],
        domains=["road_infrastructure"], is_personal=False, title="Comptages horaires",
    )  # fmt: skip
    seal = Seal(zone, recipient)
    seal.write(counts.read_bytes())
    sealed = seal.finish(counts.name)
    factories.version(
        dataset, {"stays": sealed}, rows={"stays": 96}, readings={"stays": {**Reading().as_json(), "blank_lines": 0}}
    )
    offer = factories.offer(
        dataset, columns=COUNTS, purposes=["traffic_rnd"], title="Comptages, pour prévoir",
        treatments={name: {"kind": "keep"} for name in COUNTS},
    )  # fmt: skip
    representative = factories.user("Inès Fabre", organisation=zone.operator, role="legal_representative")
    StandingMandate.objects.create(
        offer=offer, party="operator", terms_sha256=terms.sha256(offer), signer=representative,
        mandate="statuts, article 14", level="strengthened",
    )  # fmt: skip
    grants.give(representative, "zones.operate", zone, by=SYSTEM)
    return offer, representative


def test_a_founder_goes_from_sign_up_to_a_first_release(keys, folders, counts):
    _offer, ines = an_open_offer(folders, counts)
    DirectoryCompany.objects.create(
        siren="900000076", siret="90000007600019", name="Glycéa", representative="Julie Caron"
    )
    next_year = clock.real_now().date() + timedelta(days=900)

    hand = keys()
    hand.follow("Créer un compte", "/compte/signup/", within="header")
    hand.write("Prénom et nom", "Julie Caron").write("Adresse électronique", "julie@glycea.example")
    hand.write("Mot de passe", PASSWORD).write("Mot de passe, une seconde fois", PASSWORD).press("Créer mon compte")
    hand.arrived("/compte/*", "Recopiez le code reçu")
    sent = re.search(r"^([A-Z0-9-]{6,})$", mail.outbox[-1].body, re.MULTILINE)
    hand.write("Code", sent.group(1)).press("Confirmer").arrived("/compte/2fa/totp/activate/*")
    secret = hand.page.locator("#authenticator_secret").input_value()
    hand.write("Code", code(secret)).press("Activer")
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Inscrire l’organisation", "/organisation/nouvelle/", within="main")
    hand.write("Raison sociale", "Glycéa").write("SIREN", "900000076").write("Forme juridique", "SAS")
    hand.write("Votre mandat", "statuts, article 12").press("Déclarer l’organisme").arrived("/organisation/", "Glycéa")
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Préparer la demande", "/registre/demande/", within="main")
    hand.tick("infrastructure routière").tick("véhicule autonome, autoroute").press("Continuer")
    hand.arrived("/registre/demande/*")
    hand.write("Mandat du représentant légal", "statuts, article 12").write("Assureur", "Mutuelle")
    hand.write("Numéro de police", "RC-2026").day("Assurance valable jusqu'au", next_year)
    hand.press("Déposer la demande").arrived("/registre/demande/*")
    entry = RegistryEntry.objects.get()
    agency = factories.organisation("agency")
    for name in ("Sophie Martin", "Karim Haddad"):  # their own journey is the test above
        registry.accredit(entry, by=factories.user(name, organisation=agency, role="registry_officer"), reason="ok")
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Déclarer un environnement", "/environnements/nouveau/", within="main")
    hand.write("Nom", "Bulle de calcul").write("Hébergeur", "Hébergeur certifié").write("Pays", "FR")
    hand.write("Réseaux", "127.0.0.1/32").write("Clé publique age", str(pyrage.x25519.Identity.generate().to_public()))
    hand.tick("J'atteste").press("Déclarer l’environnement").arrived("/environnements/*", "Bulle de calcul")
    hand.follow("Catalogue", "/catalogue/", within="header")
    hand.follow("Comptages horaires", "/jeux/*", within="main")
    hand.follow("Comptages, pour prévoir", "/offres/*", within="main")
    hand.follow("Reprendre l’offre", "/demander/", within="body")
    hand.pick("mettre au point et essayer").write("Ce que vous voulez éprouver", "Prévision d'affluence")
    hand.press("Demander la convention").arrived("/conventions/*")
    hand.follow("Lire et signer", "/signer/", within="main")
    hand.write("Code", code(secret, step=1)).press("Signer").arrived("/conventions/*")
    hand.follow("Désigner une personne", "/personnes/", within="main")
    hand.select("Personne de votre organisation", "Julie Caron").press("Désigner").arrived("/personnes/")
    convention = Convention.objects.get()
    conventions.confirm_person(convention.named_persons.get(), by=ines)
    hand.follow("Mon bureau", "/bureau/", within="header")
    hand.follow("Demander les données", "/remises/nouvelle/", within="main")
    hand.press("Demander la remise").arrived("/remises/*")
    KeyStore().create("pseudonym", f"convention:{convention.pk}")  # the worker, twice
    release_tasks.build(convention.releases.get())
    hand.page.wait_for_selector("#state[data-status=ready]")
    hand.arrived("/remises/*", "Comptages horaires")

    assert hand.page.locator("#rows-out").inner_text() == "96"
    assert convention.releases.get().status == "ready"


def test_an_inhabitant_objects_on_a_phone_and_reads_that_it_holds(keys, folders):
    zone = factories.zone(name="Hôpital des Deux-Rives")
    for purpose in ("token", "source"):
        KeyStore().create(purpose, f"zone:{zone.pk}")
    factories.dataset(zone, title="Séjours de patients")
    nadia = factories.user("Nadia Benali", organisation=zone.operator)
    grants.give(nadia, "zones.advise", zone, by=SYSTEM)

    hand = keys(width="phone", scheme="dark")
    hand.follow("Et moi ?", "/et-moi/", within="header")
    hand.follow("M’opposer : Hôpital des Deux-Rives", "/s-opposer/", "Dire non", within="main")
    hand.select("Ce que vous refusez", "Séjours de patients")
    hand.write("Le numéro par lequel ce lieu vous connaît", "4711").pick("pour un proche")
    hand.press("Envoyer mon opposition")
    hand.arrived("?recepisse=*", "Votre récépissé")
    receipt = hand.page.locator("#receipt code").inner_text()
    desk = keys().sign_in(nadia)
    desk.follow("opposition à vérifier", "/oppositions/", "Oppositions à vérifier", within="main")
    desk.press("Identité vérifiée, confirmer").arrived("/oppositions/")
    record_sealed_request(SealedRequest.objects.get().pk)  # the worker
    hand.write("Numéro de récépissé", receipt, within="aside").press("Voir où cela en est", within="aside")
    hand.arrived(f"?recepisse={receipt}", "Votre récépissé")

    assert hand.page.locator("#receipt").get_attribute("data-state") == "in_force"
    assert "4711" not in hand.page.content()
