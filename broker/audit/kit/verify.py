#!/usr/bin/env python3
"""Vérifie hors ligne un dossier tiré du journal de Terrain. Python 3.9 ou plus, rien d'autre, sans réseau.

    python3 -I verify.py [DOSSIER ou ARCHIVE.zip] [--cle FICHIER] [--ancien CHECKPOINT] [--temoins FICHIER]

--cle      la clé publique obtenue par une autre voie (sinon celle du dossier est crue, et le script le dit)
--ancien   un checkpoint gardé d'une visite précédente : le journal d'aujourd'hui doit en être le prolongement
--temoins  les clés publiques de témoins, une par ligne, obtenues d'eux : l'un au moins doit avoir cosigné
Sort avec 0 quand tout se vérifie, avec 1 et chaque raison sinon.

Dans l'ordre du fichier : la signature, l'arbre, les formats, puis ce qui est exigé d'un dossier (`check`).
Sources : RFC 8032 (Ed25519), RFC 6962 et 9162 (arbre), C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

MANIFEST, ENTRIES, INDEX = "MANIFEST.sha256", "entries.jsonl", "index.tsv"
CHECKPOINT, KEY, ABOUT = "checkpoint", "cle-publique.txt", "dossier.json"
CONSISTENCY, DETAILS = "coherence.txt", "details.jsonl"
WITNESSED, SINCE_WITNESSED = "temoins/checkpoint", "temoins/coherence"
TOLD = 20  # raisons de même sorte que l'on détaille


class Wrong(Exception):
    """Ce qui ne se vérifie pas, en une phrase."""


# --- La signature : Ed25519, RFC 8032 section 5.1.7, encodages canoniques exigés, équation sans cofacteur ---
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def _point(raw):
    """Le point de la courbe (x, y, z, x·y) que `raw` encode."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if len(raw) != 32 or y >= P:
        raise Wrong("point de la courbe mal écrit")
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - x2) % P or (x == 0 and sign):
        raise Wrong("ce n'est pas un point de la courbe")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = _add(q, p)
        p, n = _add(p, p), n >> 1
    return q


def _same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key, message, signature):
    """Lève Wrong si `signature` n'est pas celle de `message` par `key`."""
    if len(key) != 32 or len(signature) != 64:
        raise Wrong("clé ou signature d'une mauvaise longueur")
    a, r, s = _point(key), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if s >= L or _same(_times(8, a), (0, 1, 1, 0)):
        raise Wrong("signature ou clé dégénérée")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    if not _same(_times(s, BASE), _add(r, _times(k, a))):
        raise Wrong("la signature ne correspond pas au texte signé")


# --- L'arbre de Merkle : RFC 6962, preuves selon RFC 9162 sections 2.1.3.2 et 2.1.4.2 ---
def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(level):
    sha256 = hashlib.sha256
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        above = [sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = above + level[-1:] if len(level) % 2 else above
    return level[0]


def climb(place, last, path):
    """Chaque voisin de `path`, du bas vers la racine, et s'il est à gauche ; `last` : dernière place du niveau."""
    for sibling in path:
        if last == 0:
            raise Wrong("preuve trop longue")
        left = bool(place & 1) or place == last
        while left and place and not place & 1:
            place, last = place >> 1, last >> 1
        yield left, sibling
        place, last = place >> 1, last >> 1
    if last:
        raise Wrong("preuve trop courte")


def inclusion(index, size, value, path, root):
    """Lève Wrong si `path` ne mène pas de l'empreinte `value`, à la place `index`, à la racine."""
    if any(len(h) != 32 for h in [value, root, *path]) or not 0 <= index < size:
        raise Wrong("preuve mal formée")
    for left, sibling in climb(index, size - 1, path):
        value = node_hash(sibling, value) if left else node_hash(value, sibling)
    if value != root:
        raise Wrong("la preuve ne mène pas à la racine du checkpoint")


def consistency(old, new, old_root, new_root, path):
    """Lève Wrong si `path` ne prouve pas que l'arbre de `old` feuilles est le début de celui de `new`."""
    if any(len(h) != 32 for h in [old_root, new_root, *path]):
        raise Wrong("preuve de cohérence mal formée")
    if not 0 < old <= new:
        raise Wrong(f"aucune preuve ne va de {old} à {new} entrées")
    if old == new:
        if path or old_root != new_root:
            raise Wrong("deux racines différentes pour une même taille : le journal a bifurqué")
        return
    path = [old_root, *path] if old & (old - 1) == 0 else path
    if not path:
        raise Wrong("preuve trop courte")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for left, sibling in climb(place, last, path[1:]):
        before = node_hash(sibling, before) if left else before
        after = node_hash(sibling, after) if left else node_hash(after, sibling)
    if before != old_root or after != new_root:
        raise Wrong("le journal d'aujourd'hui n'est pas le prolongement de l'ancien : il a été réécrit")


# --- Les formats ---
SIGNATURE, COSIGNATURE = 1, 4  # Ed25519 ; Ed25519 avec l'heure d'un témoin
Key = namedtuple("Key", "text name kind public")  # `text` : nom+empreinte+clé
Tree = namedtuple("Tree", "size root")


def b64(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = None
    if raw is None or base64.b64encode(raw).decode() != text:
        raise Wrong(f"base64 illisible : {text[:30]!r}")
    return raw


def number(text):
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text):
        raise Wrong(f"ce n'est pas un nombre : {text[:30]!r}")
    return int(text)


def parse_key(line):
    name, digest, key = line.split("+", 2) if line.count("+") >= 2 else ("", "", "")
    key = b64(key)
    if not name or len(key) != 33 or key[0] not in (SIGNATURE, COSIGNATURE):
        raise Wrong("une clé publique s'écrit nom+empreinte+clé")
    if hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != digest:
        raise Wrong("la clé publique ne correspond pas à sa propre empreinte")
    return Key(line, name, key[0], key[1:])


def parse_keys(raw):
    text = raw.decode()
    if not text.endswith("\n"):
        raise Wrong("la dernière ligne est coupée")
    return [parse_key(line) for line in text[:-1].split("\n")]


def signed_by(key, text, lines):
    """L'heure d'une cosignature de `key`, 0 pour une signature, None si aucune ligne n'est d'elle."""
    found = None
    for name, raw in lines:
        if name == key.name and raw[:4].hex() == key.text.split("+")[1]:
            message, raw, found = text, raw[4:], 0
            if key.kind == COSIGNATURE:
                found, raw = int.from_bytes(raw[:8], "big"), raw[8:]
                message = f"cosignature/v1\ntime {found}\n{text}"
            ed25519(key.public, message.encode(), raw)
    return found


def open_checkpoint(raw, key, witnesses=()):
    """(arbre, {témoin: heure}) d'un checkpoint signé par `key` ; une ligne d'une autre clé n'est pas jugée."""
    text, blank, block = raw.decode().rpartition("\n\n")
    text, lines = text + "\n", []
    if not blank or not block.endswith("\n"):
        raise Wrong("ce n'est pas une note signée")
    for line in block[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise Wrong("ligne de signature illisible")
        lines.append((parts[1], b64(parts[2])))
    if signed_by(key, text, lines) is None:
        raise Wrong(f"aucune signature de {key.name} avec cette clé")
    body = text.split("\n")
    if len(body) < 4 or body[0] != key.name or len(b64(body[2])) != 32:
        raise Wrong("le texte signé n'est pas un checkpoint de ce journal")
    cosigned = {witness.name: signed_by(witness, text, lines) for witness in witnesses}
    return Tree(number(body[1]), b64(body[2])), {name: at for name, at in cosigned.items() if at is not None}


def parse_proof(raw):
    head, _, checkpoint = raw.decode().partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1:] or not lines[1].startswith("index "):
        raise Wrong("ce n'est pas une preuve tlog-proof")
    return number(lines[1][6:]), [b64(line) for line in lines[2:]], checkpoint.encode()


# --- Le dossier ---
class Files:
    """Les fichiers d'un dossier, d'une archive zip ou d'un dictionnaire (nom -> octets)."""

    def __init__(self, source):
        if isinstance(source, dict):
            self.names, self.open = set(source), lambda name: io.BytesIO(source[name])
        elif Path(source).is_dir():
            here = Path(source)
            found = [p for p in here.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
            self.names = {p.relative_to(here).as_posix() for p in found}
            self.open = lambda name: (here / name).open("rb")
        else:
            archive = zipfile.ZipFile(source)
            self.names, self.open = set(archive.namelist()), archive.open

    def read(self, name):
        with self.open(name) as file:
            return file.read()


class Report:
    """Les raisons d'échec, dans l'ordre où elles se présentent, et ce qui est établi."""

    def __init__(self):
        self.wrong, self.facts = [], {}

    def part(self, what, step, *arguments):
        """Le résultat de `step` ; None, et une raison, quand quelque chose ne se vérifie pas ou ne se lit pas."""
        try:
            return step(*arguments)
        except Wrong as error:
            reason = str(error)
        except UnicodeDecodeError:
            reason = "ce n'est pas du texte, un octet a été altéré"
        except (KeyError, OSError):
            reason = "fichier absent ou illisible"
        except (ValueError, TypeError, AttributeError, IndexError, zipfile.BadZipFile) as error:
            reason = f"contenu illisible ({error})"
        self.wrong.append(f"{what} : {reason}")
        return None

    def several(self, reasons):
        """Les `TOLD` premières de ces raisons, et combien d'autres."""
        self.wrong += reasons[:TOLD]
        if len(reasons) > TOLD:
            self.wrong.append(f"… et {len(reasons) - TOLD} autres")


def check(files, trusted_key=None, old=None, witnesses=None):
    """(raisons d'échec, faits établis). Une liste vide : tout se vérifie.

    `trusted_key`, `old` et `witnesses` : les octets des fichiers de --cle, --ancien et --temoins.
    """
    report = Report()
    facts = report.facts
    report.part(MANIFEST, check_manifest, files, report)
    about = report.part(ABOUT, lambda: json.loads(files.read(ABOUT))) or {}
    keys = report.part(KEY, lambda: parse_keys(files.read(KEY))) or [None]
    key = keys[0]
    if len(keys) != 1:
        report.wrong.append(f"{KEY} : une seule clé y est attendue")
    if trusted_key is not None and (trusted := report.part("clé de confiance (--cle)", parse_keys, trusted_key)):
        if trusted != keys:
            report.wrong.append(f"{KEY} : ce n'est pas la clé de confiance donnée par --cle")
        key = trusted[0]
    known = report.part("--temoins", parse_keys, witnesses) or [] if witnesses is not None else []
    opened = key and report.part(CHECKPOINT, lambda: open_checkpoint(files.read(CHECKPOINT), key, known))
    if not opened:
        report.wrong.append("rien d'autre ne peut être établi sans checkpoint signé et clé lisible")
        return report.wrong, facts
    tree, facts["witnesses"] = opened
    if WITNESSED in files.names:
        report.part(WITNESSED, check_witnessed, files, tree, key, known, facts)
    if known and not facts["witnesses"]:
        report.wrong.append(f"{CHECKPOINT} : aucun des témoins donnés par --temoins ne l'a cosigné")
    facts.update(origin=key.name, size=tree.size, root=tree.root.hex(), key=key.text, entries=0)
    report.part(ENTRIES, check_entries, files, about.get("form"), tree, report)
    report.part(ENTRIES, check_genesis, files, key)
    if old is not None or CONSISTENCY in files.names:
        report.part(CONSISTENCY, check_consistency, files, old, tree, key, facts)
    if DETAILS in files.names:
        report.part(DETAILS, check_details, files, report)
    return report.wrong, facts


def check_manifest(files, report):
    listed = {}
    for line in files.read(MANIFEST).decode().split("\n")[:-1]:
        digest, name = line[:64], line[66:]
        if not re.fullmatch("[0-9a-f]{64}", digest) or line[64:66] != "  " or not name or name in listed:
            raise Wrong(f"ligne illisible : {line[:80]!r}")
        listed[name] = digest
    for name in sorted(set(listed) - files.names):
        report.wrong.append(f"{name} : manque au dossier")
    for name in sorted(files.names - set(listed) - {MANIFEST}):
        report.wrong.append(f"{name} : n'est pas annoncé par {MANIFEST}")
    for name in sorted(files.names & set(listed)):
        digest = hashlib.sha256()
        with files.open(name) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if digest.hexdigest() != listed[name]:
            report.wrong.append(f"{name} : modifié, son empreinte n'est pas celle de {MANIFEST}")


def check_genesis(files, key):
    with files.open(ENTRIES) as file:
        genesis = json.loads(file.readline())
    if genesis.get("act") != "log.genesis" or key.text not in genesis.get("keys", []):
        raise Wrong("l'acte de naissance du journal (entrée 0) ne nomme pas cette clé")


def check_entries(files, form, tree, report):
    """Chaque entrée à sa place : par la racine (journal entier) ou par sa preuve (sélection)."""
    sha256, hashes, line = hashlib.sha256, [], b"\n"
    with files.open(ENTRIES) as file:
        for line in file:
            hashes.append(sha256(b"\0" + line[:-1]).digest())
    if not line.endswith(b"\n"):
        report.wrong.append(f"{ENTRIES} : la dernière ligne est coupée")
    report.facts["entries"] = len(hashes)
    if form == "whole":
        report.facts["whole"] = len(hashes) == tree.size and root_of(hashes) == tree.root
        if report.facts["whole"]:
            return
        report.wrong.append(f"{ENTRIES} : les {len(hashes)} entrées ne donnent pas la racine signée pour {tree.size}")
    elif form != "selection":
        raise Wrong("le dossier ne dit pas s'il est entier ou partiel")
    rows = [line.split("\t") for line in files.read(INDEX).decode().split("\n")[:-1]]
    places, expected = [number(row[0]) for row in rows], [bytes.fromhex(row[1]) for row in rows]
    if sorted(set(places)) != places:
        report.wrong.append(f"{INDEX} : les places ne se suivent pas")
    report.several(differences(places, expected, hashes))
    if form == "selection":
        check_proofs(files, places, hashes, tree, report)


def check_proofs(files, places, hashes, tree, report):
    names = [f"preuves/{place}.tlog-proof" for place in places]
    for name in sorted(files.names - set(names)):
        if name.startswith("preuves/"):
            report.wrong.append(f"{name} : preuve sans entrée")
    checkpoint = files.read(CHECKPOINT)

    def prove(name, place, value):
        index, path, embedded = parse_proof(files.read(name))
        if index != place:
            raise Wrong(f"prouve l'entrée {index}, non l'entrée {place}")
        if embedded != checkpoint:
            raise Wrong("mène à un autre checkpoint")
        inclusion(place, tree.size, value, path, tree.root)

    for name, place, value in zip(names, places, hashes):  # noqa: B905 (une différence de longueur est déjà dite)
        report.part(name, prove, name, place, value)


def differences(places, expected, hashes):
    """Laquelle des entrées est modifiée, manquante, ajoutée ou déplacée, d'après l'index du dossier."""
    found = []
    if len(hashes) != len(places):
        found.append(f"{ENTRIES} : {len(hashes)} entrées, {INDEX} en annonce {len(places)}")
    where, present = {h: p for p, h in zip(places, expected)}, set(hashes)  # noqa: B905
    missing = [str(p) for p, h in zip(places, expected) if h not in present]  # noqa: B905
    if missing:
        found.append(f"{ENTRIES} : ne s'y trouvent plus telles quelles les entrées {', '.join(missing[:TOLD])}")
    reached = -1
    for line, value in enumerate(hashes, 1):
        if value not in where:
            found.append(f"{ENTRIES} ligne {line} : entrée modifiée ou ajoutée, inconnue de {INDEX}")
        elif where[value] <= reached:
            found.append(f"{ENTRIES} ligne {line} : entrée déplacée ou répétée, sa place est {where[value]}")
        else:
            reached = where[value]
    return found


def check_consistency(files, old, tree, key, facts):
    """Du checkpoint gardé (--ancien), ou de celui que nomme le dossier, au checkpoint du dossier."""
    before = path = None
    if CONSISTENCY in files.names:
        lines = files.read(CONSISTENCY).decode().split("\n")[:-1]
        before, path = Tree(number(lines[0]), b64(lines[1])), [b64(line) for line in lines[2:]]
    if old is not None:
        kept, _ = open_checkpoint(old, key)
        if path is None and kept != tree:
            raise Wrong(f"demandez le dossier depuis la taille {kept.size} pour obtenir la preuve de cohérence")
        if before is not None and kept != before:
            raise Wrong("la preuve part d'un autre checkpoint que celui que vous avez gardé")
        before, path = kept, path or []
    consistency(before.size, tree.size, before.root, tree.root, path)
    facts["extends"] = before.size


def check_witnessed(files, tree, key, known, facts):
    """Un checkpoint plus ancien, que des témoins ont cosigné : celui du dossier en est le prolongement."""
    seen, cosigned = open_checkpoint(files.read(WITNESSED), key, known)
    head, _, checkpoint = files.read(SINCE_WITNESSED).decode().partition("\n\n")
    lines = head.split("\n")
    if lines[0] != f"old {seen.size}" or checkpoint.encode() != files.read(CHECKPOINT):
        raise Wrong(f"{SINCE_WITNESSED} mène d'un autre checkpoint, ou à un autre")
    consistency(seen.size, tree.size, seen.root, tree.root, [b64(line) for line in lines[1:]])
    facts["witnesses"] = {**cosigned, **facts["witnesses"]}


def check_details(files, report):
    """Un détail effaçable est celui que l'entrée a engagé : d = SHA-256(sel || corps)."""
    with files.open(ENTRIES) as file:
        committed = {json.loads(line).get("d") for line in file}
    report.facts["details"] = 0
    with files.open(DETAILS) as file:
        for line in file:
            row = json.loads(line)
            digest = hashlib.sha256(bytes.fromhex(row["salt"]) + row["body"].encode()).hexdigest()
            if f"sha256:{digest}" not in committed:
                report.wrong.append(
                    f"{DETAILS} : le détail de l'entrée {row['leaf_index']} n'est pas celui qui fut engagé"
                )
            report.facts["details"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dossier", nargs="?", default=str(Path(__file__).resolve().parent))
    for option in ("--cle", "--ancien", "--temoins"):
        parser.add_argument(option, type=Path)
    asked = parser.parse_args()
    try:
        given = [path and path.read_bytes() for path in (asked.cle, asked.ancien, asked.temoins)]
        wrong, facts = check(Files(asked.dossier), *given)
    except (OSError, zipfile.BadZipFile) as error:
        wrong, facts = [f"{asked.dossier} : illisible ({error})"], {}
    for reason in wrong:
        print("ÉCHEC  " + reason)
    if wrong:
        print(f"\nCe dossier ne se vérifie pas : {len(wrong)} raison(s) ci-dessus.")
        return 1
    whole = "tout le journal : rien ne manque" if facts.get("whole") else "une sélection : chacune est bien à sa place"
    print(f"Vérifié : {facts['entries']} entrées, {whole}, rien n'a été modifié.")
    print(f"Journal {facts['origin']}, {facts['size']} entrées au total, racine {facts['root']}")
    if "extends" in facts:
        print(f"Il prolonge celui de {facts['extends']} entrées que vous aviez vu.")
    for name, at in sorted(facts["witnesses"].items()):
        print(
            f"Cosigné par {name}" + (time.strftime(" le %Y-%m-%d à %H:%M:%S UTC", time.gmtime(at)) if at else "") + "."
        )
    if not asked.cle:
        print(f"Clé du dossier : {facts['key']}. Comparez-la à celle que vous tenez d'ailleurs (--cle).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
