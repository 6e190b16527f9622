"""Samir asks for the stays, the environment pulls them sealed; then the traffic, as a plain file."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import httpx
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from deploy.demo.story import Page, Step, StepFailed, Story, acts

DIRECT = {"encounter_id", "patient_nbr"}  # what must never be a column of what leaves


def ask(story: Story):
    acts.again(story, "samir")
    acts.ask_release("samir", "convention", "release")(story)


def pull(story: Story):
    """The environment's machine, alone: no person, no cookie, one secret and one order."""
    address = f"{story.delivery}/ordres/{story.memory.order}/"
    with httpx.Client(trust_env=False, timeout=60) as machine:
        header = {"Authorization": f"Terrain-Machine {story.memory['credential_secret']}"}
        answer = machine.get(address, headers=header)
        again = machine.get(address, headers=header)
    if answer.status_code != 200:
        raise StepFailed(f"le serveur de remise a répondu {answer.status_code} : {answer.text[:600]}")
    if again.status_code != 403:
        raise StepFailed(f"un ordre déjà servi a été exécuté à nouveau ({again.status_code})")
    story.memory["release_file_name"] = answer.headers["content-disposition"].split('"')[1]
    story.keep("release_file", story.memory["release_file_name"], answer.content)
    manifest = story.entered("samir").get(f"/remises/{story.memory.release}/manifeste.json")
    story.keep("release_manifest", "manifeste.json", manifest.content)
    if manifest.json()["sha256"] != answer.headers["etag"].strip('"'):
        raise StepFailed("le manifeste et le fichier n'ont pas la même empreinte")


def check_signature(story: Story):
    """Anybody, without an account: the published key, the manifest's very bytes, the ordinary tool."""
    page, manifest = f"/remises/{story.memory.release}", story.artefacts["release_manifest"]
    samir = story.entered("samir")
    signature = samir.get(f"{page}/manifeste.sig")
    story.keep("release_signature", "manifeste.sig", signature.content)
    told = json.loads(manifest.read_text())
    for name, digest in told["enclosed"].items():
        enclosed = samir.get(f"{page}/{name}").content
        if hashlib.sha256(enclosed).hexdigest() != digest:
            raise StepFailed(f"{name} n'est pas celui que le manifeste signé nomme")
        story.keep(f"release_{name.partition('.')[0].lower()}", name, enclosed)
    zone = told["signed_by"]["zone"].removeprefix("zone:")
    keys = httpx.get(f"{story.site}/zones/{zone}/cles/", trust_env=False, timeout=30).json()["keys"]
    pem = next(one["pem"] for one in keys if one["key"] == told["signed_by"]["key"])
    path = story.keep("release_signing_key", "cle-de-la-zone.pem", pem.encode())
    if not shutil.which("openssl"):
        key = load_pem_public_key(pem.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise StepFailed("la clé publiée n'est pas une clé Ed25519")
        key.verify(signature.content, manifest.read_bytes())
        return
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(path), "-rawin", "-in", str(manifest)]
    done = subprocess.run([*command, "-sigfile", str(story.artefacts["release_signature"])], capture_output=True)
    if done.returncode:
        raise StepFailed(f"openssl refuse la signature du manifeste : {done.stdout.decode(errors='replace')}")


def _opened(story: Story) -> bytes:
    """The clear bytes: by the ordinary `age` tool where there is one."""
    sealed, identity = story.artefacts["release_file"], story.artefacts["recipient_identity"]
    if shutil.which("age"):
        done = subprocess.run(["age", "-d", "-i", str(identity), str(sealed)], capture_output=True)
        if done.returncode:
            raise StepFailed(f"age n'ouvre pas la remise : {done.stderr.decode(errors='replace')}")
        return done.stdout
    secret = next(line for line in identity.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-"))
    return pyrage.decrypt(sealed.read_bytes(), [pyrage.x25519.Identity.from_str(secret)])


def read(story: Story):
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as engine:
        file.write(_opened(story))
        file.flush()
        found = engine.execute("SELECT * FROM read_parquet(?)", [file.name])
        columns = [column[0] for column in found.description]
        rows = len(found.fetchall())
        clear = Path(file.name).read_bytes()
    [described] = json.loads(story.artefacts["release_datapackage"].read_text())["resources"]
    if described["hash"] != f"sha256:{hashlib.sha256(clear).hexdigest()}":
        raise StepFailed("la description Data Package est d'un autre fichier")
    if [field["name"] for field in described["schema"]["fields"]] != columns:
        raise StepFailed("la description Data Package a d'autres colonnes que le fichier")
    if DIRECT & set(columns) or columns[:2] != ["pseudonym", "event_rank"]:
        raise StepFailed(f"la remise porte ces colonnes : {', '.join(columns)}")
    manifest = json.loads(story.artefacts["release_manifest"].read_text())
    shown = Page(story.entered("samir").get(f"/remises/{story.memory.release}/"))
    if manifest["sha256"] not in shown.tree.xpath("//*[@id='sha256']/@title"):
        raise StepFailed("la page de la remise ne montre pas l'empreinte du fichier reçu")
    if rows != manifest["rows"]["out"] or "xpérimentation seulement" not in manifest["licence"]:
        raise StepFailed("le manifeste ne décrit pas le fichier reçu")


def give_inputs(story: Story):
    """In the demo alone: source, recipe, keys and objections, so that a stranger recomputes everything."""
    told = acts.release_inputs(story, story.memory.release)
    manifest = story.entered("samir").get(f"/remises/{story.memory.release}/manifeste.json").json()
    if manifest["sha256"] != told["figures"]["sha256"]:
        raise StepFailed("ce qui est remis à l'inconnu n'est pas de cette remise")
    story.artefacts["release_inputs"] = told["paths"]
    story.release.update(told["figures"])
    story.memory["release_figures"] = json.dumps(told["figures"])


def see_losses(story: Story):
    """The operator alone reads how many rows each protection cost."""
    page = Page(story.entered("paul").get(f"/remises/{story.memory.release}/"))
    if "opposition des personnes" not in page.text and "mineurs" not in page.text:
        raise StepFailed("l'opérateur ne voit pas les lignes écartées, par motif")
    if "opposition des personnes" in Page(story.entered("samir").get(f"/remises/{story.memory.release}/")).text:
        raise StepFailed("l'expérimentateur apprend combien de lignes tiennent à des oppositions")


def download(story: Story):
    samir, number = story.entered("samir"), story.memory.traffic_release
    target = story.var / "artefacts" / "trafic.csv"
    answer = samir.save(f"/remises/{number}/", target, "download-form", post=True)
    if "attachment" not in answer.headers.get("content-disposition", ""):
        raise StepFailed("le téléchargement est refusé : " + " · ".join(Page(answer).errors()))
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8"), newline="")))
    if len(rows) < 40_000 or "traffic_volume" not in rows[0]:
        raise StepFailed(f"le trafic reçu a {len(rows)} lignes et ces colonnes : {rows[0]}")
    story.artefacts["traffic_file"] = target


STEPS = [
    Step("demande une remise des séjours : la barrière permet, sous obligations", "samir", ask),
    Step("suit la préparation jusqu'au bout", "samir", acts.wait_release("samir", "release")),
    Step("donne à l'environnement l'ordre de la tirer", "samir", acts.give_order("samir", "release", "order")),
    Step("reçoit le fichier scellé, tiré une fois par la machine", "samir", pull),
    Step("vérifie la signature du manifeste, avec la clé que la zone publie", "samir", check_signature),
    Step("ouvre le fichier : pseudonymes, aucun identifiant", "samir", read),
    Step("lit ce que chaque protection a coûté, lui seul", "paul", see_losses),
    Step(
        "demande le trafic de l'autoroute", "samir", acts.ask_release("samir", "traffic_convention", "traffic_release")
    ),
    Step("attend le trafic", "samir", acts.wait_release("samir", "traffic_release")),
    Step("télécharge le trafic en clair", "samir", download),
    Step("remet à un inconnu de quoi tout recalculer (démonstration)", "samir", give_inputs),
]
