#!/usr/bin/env python3
"""Vérifie hors ligne un dossier tiré du journal de Terrain. Bibliothèque standard seulement, sans réseau.

    python3 -I verify.py [DOSSIER ou ARCHIVE.zip] [--cle FICHIER] [--ancien CHECKPOINT]

--cle     la clé publique obtenue par une autre voie (sinon celle du dossier est crue, et le script le dit)
--ancien  un checkpoint gardé d'une visite précédente : le journal d'aujourd'hui doit en être le prolongement
Sort avec 0 quand tout se vérifie, avec 1 et chaque raison sinon.
Sources : RFC 6962 (arbre), RFC 8032 (Ed25519), C2SP signed-note, tlog-checkpoint, tlog-proof.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import sys
import zipfile
from pathlib import Path

MANIFEST, ENTRIES, INDEX = "MANIFEST.sha256", "entries.jsonl", "index.tsv"
CHECKPOINT, KEY, ABOUT = "checkpoint", "cle-publique.txt", "dossier.json"
CONSISTENCY, DETAILS = "coherence.txt", "details.jsonl"


class Wrong(Exception):
    """Ce qui ne se vérifie pas, en une phrase."""


# --- Ed25519, RFC 8032 section 5.1.7, encodages canoniques exigés, équation sans cofacteur ---
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def _point(raw):
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


# --- Arbre de Merkle, RFC 6962 et RFC 9162 ---
def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


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


def inclusion(index, size, value, path, root):
    if any(len(h) != 32 for h in [value, root, *path]) or not 0 <= index < size:
        raise Wrong("preuve mal formée")
    place, last = index, size - 1
    for sibling in path:
        if last == 0:
            raise Wrong("preuve trop longue")
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    if last or value != root:
        raise Wrong("la preuve ne mène pas à la racine du checkpoint")


def consistency(old, new, old_root, new_root, path):
    if any(len(h) != 32 for h in [old_root, new_root, *path]) or not 0 < old <= new:
        raise Wrong("preuve de cohérence mal formée")
    if old == new:
        if path or old_root != new_root:
            raise Wrong("deux racines différentes pour une même taille : le journal a bifurqué")
        return
    path = ([old_root] if old & (old - 1) == 0 else []) + path
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0] if path else b""
    for sibling in path[1:]:
        if last == 0:
            raise Wrong("preuve de cohérence trop longue")
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise Wrong("le journal d'aujourd'hui n'est pas le prolongement de l'ancien : il a été réécrit")


# --- Formats ---
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


def parse_key(raw):
    """(nom, empreinte, clé) d'une ligne nom+empreinte+clé."""
    parts = raw.decode().split("\n")[0].split("+", 2)
    if len(parts) != 3 or raw.decode() != "+".join(parts) + "\n":
        raise Wrong("la clé publique ne s'écrit pas nom+empreinte+clé")
    name, digest, key = parts[0], parts[1], b64(parts[2])
    if hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != digest or key[:1] != b"\1" or len(key) != 33:
        raise Wrong("la clé publique ne correspond pas à sa propre empreinte")
    return name, bytes.fromhex(digest), key[1:]


def open_checkpoint(raw, key):
    """(taille, racine) d'un checkpoint signé par `key`."""
    name, digest, public = key
    text, blank, lines = raw.decode().rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Wrong("ce n'est pas une note signée")
    signatures = []
    for line in lines[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise Wrong("ligne de signature illisible")
        if parts[1] == name and b64(parts[2])[:4] == digest:
            signatures.append(b64(parts[2])[4:])
    if not signatures:
        raise Wrong(f"aucune signature de {name} avec cette clé")
    for signature in signatures:
        ed25519(public, (text + "\n").encode(), signature)
    body = text.split("\n")
    if len(body) < 3 or body[0] != name or len(b64(body[2])) != 32:
        raise Wrong("le texte signé n'est pas un checkpoint de ce journal")
    return number(body[1]), b64(body[2])


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
        self.source = source
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


def check(files, trusted_key=None, old=None):
    """(raisons d'échec, faits établis). Une liste vide : tout se vérifie."""
    wrong, facts = [], {}

    def part(what, step):
        try:
            return step()
        except Wrong as error:
            wrong.append(f"{what} : {error}")
        except UnicodeDecodeError:
            wrong.append(f"{what} : ce n'est pas du texte, un octet a été altéré")
        except (KeyError, OSError):
            wrong.append(f"{what} : fichier absent ou illisible")
        except (ValueError, TypeError, AttributeError, IndexError, zipfile.BadZipFile) as error:
            wrong.append(f"{what} : contenu illisible ({error})")
        return None

    part(MANIFEST, lambda: check_manifest(files, wrong))
    about = part(ABOUT, lambda: json.loads(files.read(ABOUT))) or {}
    key = part(KEY, lambda: parse_key(files.read(KEY)))
    if trusted_key is not None and (trusted := part("clé de confiance (--cle)", lambda: parse_key(trusted_key))):
        if trusted != key:
            wrong.append(f"{KEY} : ce n'est pas la clé de confiance donnée par --cle")
        key = trusted
    signed = key and part(CHECKPOINT, lambda: open_checkpoint(files.read(CHECKPOINT), key))
    if not signed:
        wrong.append("rien d'autre ne peut être établi sans checkpoint signé et clé lisible")
        return wrong, facts
    size, root = signed
    facts.update(origin=key[0], size=size, root=root.hex(), key=key[2].hex(), entries=0)
    part(ENTRIES, lambda: check_entries(files, about.get("form"), signed, key, wrong, facts, part))
    if old is not None or CONSISTENCY in files.names:
        part(CONSISTENCY, lambda: check_consistency(files, old, signed, key, facts))
    if DETAILS in files.names:
        part(DETAILS, lambda: check_details(files, wrong, facts))
    return wrong, facts


def check_manifest(files, wrong):
    listed = {}
    for line in files.read(MANIFEST).decode().split("\n")[:-1]:
        digest, name = line[:64], line[66:]
        if not re.fullmatch("[0-9a-f]{64}", digest) or line[64:66] != "  " or not name or name in listed:
            raise Wrong(f"ligne illisible : {line[:80]!r}")
        listed[name] = digest
    for name in sorted(set(listed) - files.names):
        wrong.append(f"{name} : manque au dossier")
    for name in sorted(files.names - set(listed) - {MANIFEST}):
        wrong.append(f"{name} : n'est pas annoncé par {MANIFEST}")
    for name in sorted(files.names & set(listed)):
        digest = hashlib.sha256()
        with files.open(name) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if digest.hexdigest() != listed[name]:
            wrong.append(f"{name} : modifié, son empreinte n'est pas celle de {MANIFEST}")


def check_entries(files, form, signed, key, wrong, facts, part):
    """Chaque entrée à sa place : par la racine (journal entier) ou par sa preuve (sélection)."""
    size, root = signed
    sha256 = hashlib.sha256
    with files.open(ENTRIES) as file:
        first = file.readline()
        hashes, last = [sha256(b"\0" + first[:-1]).digest()] if first else [], first
        for line in file:
            hashes.append(sha256(b"\0" + line[:-1]).digest())
            last = line
    if hashes and not last.endswith(b"\n"):
        wrong.append(f"{ENTRIES} : la dernière ligne est coupée")
    facts["entries"] = len(hashes)
    if form == "whole" and len(hashes) == size and root_of(hashes) == root:
        facts["whole"] = True
    else:
        if form == "whole":
            wrong.append(f"{ENTRIES} : les {len(hashes)} entrées ne donnent pas la racine signée pour {size}")
        elif form != "selection":
            raise Wrong("le dossier ne dit pas s'il est entier ou partiel")
        rows = [line.split("\t") for line in files.read(INDEX).decode().split("\n")[:-1]]
        places = [number(row[0]) for row in rows]
        expected = [bytes.fromhex(row[1]) for row in rows]
        if sorted(set(places)) != places:
            wrong.append(f"{INDEX} : les places ne se suivent pas")
        explain(places, expected, hashes, wrong)
        if form == "selection":
            proofs = {f"preuves/{place}.tlog-proof" for place in places}
            for name in sorted(n for n in files.names - proofs if n.startswith("preuves/")):
                wrong.append(f"{name} : preuve sans entrée")
            checkpoint = files.read(CHECKPOINT)
            for place, value in zip(places, hashes):  # noqa: B905 (une différence de longueur est déjà dite)
                name = f"preuves/{place}.tlog-proof"
                part(name, lambda: check_proof(files.read(name), place, value, size, root, checkpoint))  # noqa: B023
    genesis = json.loads(first)
    written = f"{key[0]}+{key[1].hex()}+{base64.b64encode(bytes([1]) + key[2]).decode()}"
    if genesis.get("act") != "log.genesis" or written not in genesis.get("keys", []):
        wrong.append(f"{KEY} : l'acte de naissance du journal (entrée 0) ne nomme pas cette clé")


def check_proof(raw, place, value, size, root, checkpoint):
    index, path, embedded = parse_proof(raw)
    if index != place:
        raise Wrong(f"prouve l'entrée {index}, non l'entrée {place}")
    if embedded != checkpoint:
        raise Wrong("mène à un autre checkpoint")
    inclusion(place, size, value, path, root)


def explain(places, expected, hashes, wrong):
    """Dire laquelle des entrées est modifiée, manquante, ajoutée ou déplacée."""
    if len(hashes) != len(places):
        wrong.append(f"{ENTRIES} : {len(hashes)} entrées, {INDEX} en annonce {len(places)}")
    where, present = {h: p for p, h in zip(places, expected)}, set(hashes)  # noqa: B905
    missing = [str(p) for p, h in zip(places, expected) if h not in present]  # noqa: B905
    if missing:
        wrong.append(f"{ENTRIES} : ne s'y trouvent plus telles quelles les entrées {', '.join(missing[:20])}")
    told, reached = 0, -1
    for line, value in enumerate(hashes, 1):
        if told == 20:
            wrong.append("… et d'autres encore")
            return
        if value not in where:
            told += 1
            wrong.append(f"{ENTRIES} ligne {line} : entrée modifiée ou ajoutée, inconnue de {INDEX}")
        elif where[value] <= reached:
            told += 1
            wrong.append(f"{ENTRIES} ligne {line} : entrée déplacée ou répétée, sa place est {where[value]}")
        else:
            reached = where[value]


def check_consistency(files, old, signed, key, facts):
    before = path = None
    if CONSISTENCY in files.names:
        lines = files.read(CONSISTENCY).decode().split("\n")[:-1]
        before, path = (number(lines[0]), b64(lines[1])), [b64(line) for line in lines[2:]]
    if old is not None:
        kept = open_checkpoint(old, key)
        if path is None and kept != signed:
            raise Wrong(f"demandez le dossier depuis la taille {kept[0]} pour obtenir la preuve de cohérence")
        if before is not None and kept != before:
            raise Wrong("la preuve part d'un autre checkpoint que celui que vous avez gardé")
        before, path = kept, path or []
    consistency(before[0], signed[0], before[1], signed[1], path)
    facts["extends"] = before[0]


def check_details(files, wrong, facts):
    """Un détail effaçable est celui que l'entrée a engagé : d = SHA-256(sel || corps)."""
    with files.open(ENTRIES) as file:
        committed = {json.loads(line).get("d") for line in file}
    count = 0
    with files.open(DETAILS) as file:
        for line in file:
            row = json.loads(line)
            digest = hashlib.sha256(bytes.fromhex(row["salt"]) + row["body"].encode()).hexdigest()
            if f"sha256:{digest}" not in committed:
                wrong.append(f"{DETAILS} : le détail de l'entrée {row['leaf_index']} n'est pas celui qui fut engagé")
            count += 1
    facts["details"] = count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dossier", nargs="?", default=str(Path(__file__).resolve().parent))
    parser.add_argument("--cle")
    parser.add_argument("--ancien")
    asked = parser.parse_args()
    try:
        trusted = Path(asked.cle).read_bytes() if asked.cle else None
        old = Path(asked.ancien).read_bytes() if asked.ancien else None
        wrong, facts = check(Files(asked.dossier), trusted, old)
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
    if not asked.cle:
        print(f"Clé du dossier : {facts['key']}. Comparez-la à celle que vous tenez d'ailleurs (--cle).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
