"""The auditor: searches the log, takes a bundle away, verifies it without the platform, finds one altered byte.

She comes back when everything was played: what left is compared with the log, the whole log is verified once more, and
goes on from the one she had kept.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deploy.demo.people import Page, StepFailed
from deploy.demo.story import Step, Story

SIGNED_WITHIN = 30  # seconds; a signature follows the event by some tenths
VERIFIED_WITHIN = 120  # seconds for the offline script


def search_the_log(story: Story):
    """From her desk: the refusals with their rules, then who accessed the first dataset of the story."""
    anne = story.people["anne"]
    anne.sign_in()
    page = anne.follow("/bureau/", "/journal/")
    if "Naissance du journal" not in page.text and "Plus anciennes" not in page.text:
        raise StepFailed("la recherche ne montre ni le début du journal ni la page suivante")
    anne.get("/journal/?question=refus")
    dataset = story.memory.get("stays")
    if dataset:
        accesses = story.wait(
            anne, f"/journal/?question=acces&dataset={dataset}", lambda a: "remise" in Page(a).text, SIGNED_WITHIN
        )
        if "Samir Diallo" not in Page(accesses).text:
            raise StepFailed("le journal ne dit pas que Samir Diallo a demandé la remise")
    readings = story.wait(
        anne, "/journal/?question=lectures", lambda a: "a cherché dans le journal" in Page(a).text, SIGNED_WITHIN
    )
    if "Anne Leroy" not in Page(readings).text:
        raise StepFailed("le journal ne dit pas qu'Anne Leroy y a cherché")


def take_a_bundle_and_verify_it(story: Story):
    """The whole log; its own script, alone in an empty folder, with the key read on the public page."""
    _take(story)
    story.audit.update(altered_byte_found=False)
    story.memory.audit = dict(story.audit)


def compare_bytes_and_log(story: Story):
    """Files, downloads, permits and the log side by side, as every night: after the whole story nothing differs."""
    anne = story.entered("anne")
    anne.submit("/rapprochement/", "/rapprochement/")
    done = story.wait(anne, "/rapprochement/", lambda a: "demandé par Anne Leroy" in Page(a).text)
    if "Les octets remis et le journal disent la même chose" not in Page(done).text:
        raise StepFailed(f"les octets remis et le journal ne disent pas la même chose : {Page(done).text[:600]}")


def come_back_and_verify_the_whole_story(story: Story):
    """Her page says first that nothing is missing since her last visit; then she takes the log of the whole story, and
    its script proves, offline, that it goes on from the one whose checkpoint she had kept."""
    anne = story.entered("anne")
    page = Page(anne.get("/journal/"))
    if page.tree.xpath("string(//*[@id='constat']/@data-holds)") != "yes":
        raise StepFailed(f"le journal ne dit pas que rien ne manque depuis sa dernière visite : {page.text[:400]}")
    with zipfile.ZipFile(story.artefacts["audit_bundle"]) as kept:
        former = kept.read("checkpoint")
    before = story.audit["size"]
    _take(story, former=former, depuis=before)
    if story.audit["size"] <= before:
        raise StepFailed(f"le journal n'a pas grandi : {before} inscriptions, puis {story.audit['size']}")
    story.audit["extends"] = before
    story.memory.audit = dict(story.audit)


def _take(story: Story, *, former: bytes = b"", **asked):
    """Keep the bundle of the whole log and verify it offline; `former` is a checkpoint that it must go on from."""
    anne = story.people["anne"]
    key = anne.get("/log/cle").content
    answer = anne.submit("/journal/", "dossier-form", whole=True, **asked)
    if answer.headers.get("content-type") != "application/zip":
        raise StepFailed(f"le dossier n'est pas une archive : {answer.headers.get('content-type')}")
    bundle = story.keep("audit_bundle", "journal.zip", answer.content)
    with tempfile.TemporaryDirectory() as empty:
        folder = _unpacked(bundle, Path(empty), key)
        (Path(empty) / "ancien").write_bytes(former)
        code, said = _verify(folder, *(["--ancien", "../ancien"] if former else []))
    if code:
        raise StepFailed(f"le dossier ne se vérifie pas :\n{said}")
    words = said.split()
    size, root = int(words[words.index("entrées", words.index("Journal")) - 1]), words[words.index("racine") + 1]
    story.audit.update(size=size, root=root, verified=True)


def find_an_altered_byte(story: Story):
    """One bit of one byte in the middle of the entries: the script fails, and names the line. The log stands still."""
    anne = story.people["anne"]
    size = int(anne.get("/log/checkpoint").text.split("\n")[1])
    if size < story.audit["size"]:
        raise StepFailed(f"le journal a rétréci : {size} inscriptions")
    key = anne.get("/log/cle").content
    with tempfile.TemporaryDirectory() as empty:
        folder = _unpacked(story.artefacts["audit_bundle"], Path(empty), key)
        entries = folder / "entries.jsonl"
        content = bytearray(entries.read_bytes())
        place = len(content) // 2
        line = content.count(b"\n", 0, place) + 1
        content[place] ^= 1
        entries.write_bytes(content)
        code, said = _verify(folder)
    if code != 1 or f"entries.jsonl ligne {line} : entrée modifiée" not in said:
        raise StepFailed(f"l'octet altéré à la ligne {line} n'a pas été nommé (sortie {code}) :\n{said}")
    story.audit["altered_byte_found"] = True
    story.memory.audit = dict(story.audit)


def _unpacked(bundle: Path, empty: Path, key: bytes) -> Path:
    folder = empty / "dossier"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    (empty / "cle").write_bytes(key)
    return folder


def _verify(folder: Path, *options: str) -> tuple[int, str]:
    """What the bundle's own script says, in a Python without our packages, our modules or our environment."""
    python = shutil.which("python3", path=os.defpath) or sys.executable
    done = subprocess.run(
        [python, "-I", "-S", "verify.py", "--cle", "../cle", *options], cwd=folder, env={"PYTHONUTF8": "1"},
        capture_output=True, text=True, timeout=VERIFIED_WITHIN,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


STEPS = [
    Step("cherche dans le journal qui a accédé aux données, et pourquoi on a refusé", "anne", search_the_log),
    Step("emporte le dossier du journal et le vérifie hors ligne", "anne", take_a_bundle_and_verify_it),
    Step("altère un octet : le dossier ne se vérifie plus, et la ligne est nommée", "anne", find_an_altered_byte),
]
LAST = [
    Step("fait rapprocher les octets remis et le journal : ils disent la même chose", "anne", compare_bytes_and_log),
    Step("revient à la fin : rien ne manque depuis sa visite, et tout le journal se vérifie hors ligne", "anne",
         come_back_and_verify_the_whole_story),
]  # fmt: skip
