#!/usr/bin/env python3
"""Témoin du journal de Terrain : cosigne ses relevés après avoir vérifié que rien n'y fut retiré ni modifié.

    python3 witness.py DOSSIER --nom temoin.exemple.fr/terrain --journal CLÉ_OU_ADRESSE --ecoute 127.0.0.1:8090
    python3 witness.py DOSSIER --nom temoin.exemple.fr/terrain --journal CLÉ_OU_ADRESSE --releve https://…/log/

DOSSIER    garde la clé du témoin (faite au premier lancement) et le dernier relevé qu'il a cosigné. Ne le restaurez
           jamais d'une sauvegarde : un témoin qui oublie ne témoigne plus.
--nom      le nom du témoin, qui paraît à côté de sa cosignature
--journal  la clé publique du journal, ou l'adresse où la lire au premier lancement (…/log/cle) : elle est alors
           gardée, et le script dit de la comparer. Peut se répéter.
--ecoute   sert les demandes de la plateforme (POST /add-checkpoint)
--releve   va lire le journal une fois, par exemple chaque jour, et écrit le relevé cosigné ; sort avec 1 s'il refuse
--rendre   avec --releve, rend la cosignature à la plateforme, qui la publie si elle connaît ce témoin
Sans --ecoute ni --releve, écrit la clé publique du témoin, à donner à la plateforme.

Un fichier, Python 3.9 ou plus récent, bibliothèque standard et le paquet `cryptography`.
Sources : C2SP tlog-witness, tlog-cosignature (Ed25519), signed-note, tlog-checkpoint ; RFC 6962 (preuves).
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG, WITNESS = b"\1", b"\4"  # types de clés : un journal, un témoin
LONGEST = 256 * 1024  # octets d'une demande
MOST_HASHES = 63
MOST_KEPT = 100  # relevés refusés, gardés comme preuves
PATIENCE = 10  # secondes
FIRST_CONTACT = 120  # secondes pendant lesquelles on attend la clé du journal au premier lancement


class No(Exception):
    """Un refus : son code HTTP, et pourquoi."""

    def __init__(self, status, why, kind="text/plain; charset=utf-8"):
        super().__init__(why)
        self.status, self.why, self.kind = status, why, kind


# --- Formats ---
def unbase64(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = None
    if raw is None or base64.b64encode(raw).decode() != text:
        raise No(400, "base64 illisible")
    return raw


def count(text):
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text):
        raise No(400, "nombre illisible")
    return int(text)


def key_hash(name, kind, key):
    return hashlib.sha256(name.encode() + b"\n" + kind + key).digest()[:4]


def key_text(name, kind, key):
    return f"{name}+{key_hash(name, kind, key).hex()}+{base64.b64encode(kind + key).decode()}"


def parse_key(text):
    """(nom, clé) d'une clé publique de journal, écrite nom+empreinte+clé."""
    parts = text.strip().split("+", 2)
    try:
        raw = base64.b64decode(parts[2], validate=True)
        if len(raw) == 33 and raw[:1] == LOG and key_text(parts[0], LOG, raw[1:]) == text.strip():
            return parts[0], raw[1:]
    except (ValueError, IndexError):
        pass
    raise SystemExit(f"ce n'est pas une clé publique de journal : {text[:80]!r}")


def parse_note(note):
    """(texte, [(nom, empreinte et signature)]) d'une note signée."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise No(400, "ce n'est pas une note signée")
    signatures = []
    for line in lines[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise No(400, "ligne de signature illisible")
        signatures.append((parts[1], unbase64(parts[2])))
    return text + "\n", signatures


def parse_checkpoint(text):
    """(origine, taille, racine) du texte d'un relevé."""
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0]:
        raise No(400, "ce n'est pas un relevé")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise No(400, "une racine compte 32 octets")
    return lines[0], count(lines[1]), root


# --- Arbre, RFC 6962 section 2.1.2 : la preuve est relue comme elle fut écrite ---
def roots(old, new, path, whole_root=None):
    """Les deux racines où mène `path`, qu'elle consomme ; `whole_root` est l'ancienne tant qu'elle est un arbre
    entier."""
    if old == new:
        value = whole_root if whole_root is not None else path.pop(0)
        return value, value
    half = 1 << (new - 1).bit_length() - 1
    if old <= half:
        before, after = roots(old, half, path, whole_root)
        return before, hashlib.sha256(b"\1" + after + path.pop(0)).digest()
    before, after = roots(old - half, new - half, path)
    left = path.pop(0)
    return hashlib.sha256(b"\1" + left + before).digest(), hashlib.sha256(b"\1" + left + after).digest()


def is_extension(old, old_root, new, new_root, path):
    """Vrai si l'arbre de `new` feuilles commence par celui de `old` (au moins une)."""
    rest = list(path)
    try:
        return roots(old, new, rest, old_root) == (old_root, new_root) and not rest
    except IndexError:  # une preuve trop courte
        return False


# --- Le témoin ---
class Witness:
    """Une clé, les journaux connus, et pour chacun le dernier relevé cosigné, dans un dossier privé."""

    def __init__(self, folder, name):
        if not name or re.search(r"[\s+]", name):
            raise SystemExit("le nom d'un témoin est un mot sans espace ni +")
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = self.folder / "witness.key"
        with self.alone():
            if not key.exists():
                if any(self.folder.glob("log-*.json")):
                    raise SystemExit(f"{self.folder} garde une mémoire sans sa clé : remettez la clé ou videz-le.")
                self.write(key, Ed25519PrivateKey.generate().private_bytes_raw())
        if key.stat().st_mode & 0o077:
            raise SystemExit(f"{key} peut être lue par d'autres : chmod 600 {key}")
        self.private = Ed25519PrivateKey.from_private_bytes(key.read_bytes())
        self.public = self.private.public_key().public_bytes_raw()
        self.logs = {}

    @contextmanager
    def alone(self):
        """Un seul à la fois, entre processus aussi : relire, juger et retenir sont un seul geste."""
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def write(path, content):
        """Écrit tout ou rien, lisible par son seul propriétaire, sur le disque avant de revenir."""
        draft = path.with_name(path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __str__(self):
        return key_text(self.name, WITNESS, self.public)

    def know(self, key_or_url):
        """Connaître un journal par sa clé, ou par l'adresse où elle est lue la première fois."""
        if not re.match("https?://", key_or_url):
            name, key = parse_key(key_or_url)
        else:
            kept = self.folder / f"key-{hashlib.sha256(key_or_url.encode()).hexdigest()[:16]}"
            if not kept.exists():
                text = first_contact(key_or_url)
                parse_key(text)
                self.write(kept, text.encode())
                say(f"Clé du journal, lue à {key_or_url} et gardée ; comparez-la à celle que vous tenez d'ailleurs :")
                say(text.strip())
            name, key = parse_key(kept.read_text())
        if self.logs.setdefault(name, key) != key:
            raise SystemExit(f"deux clés pour le journal {name}")

    def memory(self, origin):
        return self.folder / f"log-{hashlib.sha256(origin.encode()).hexdigest()}.json"

    def remembered(self, origin):
        """(taille, racine) du dernier relevé cosigné ; (0, None) au début."""
        path = self.memory(origin)
        if not path.exists():
            return 0, None
        kept = json.loads(path.read_text())
        return kept["size"], base64.b64decode(kept["root"])

    def add_checkpoint(self, body):
        """Juge une demande et rend la ligne de cosignature ; lève No. Une demande jugée bonne est retenue d'abord."""
        head, blank, note = body.partition("\n\n")
        lines = head.split("\n")
        if not blank or not lines[0].startswith("old ") or len(lines) > MOST_HASHES + 1:
            raise No(400, "une demande est une ligne « old », une preuve, une ligne vide, un relevé signé")
        old, path = count(lines[0][4:]), [unbase64(line) for line in lines[1:]]
        if any(len(value) != 32 for value in path):
            raise No(400, "une empreinte compte 32 octets")
        text, signatures = parse_note(note)
        origin, size, root = parse_checkpoint(text)
        if origin not in self.logs:
            raise No(404, f"journal inconnu de ce témoin : {origin[:80]}")
        self.check_signed(origin, text, signatures)
        if old > size:
            raise No(400, "l'ancienne taille dépasse la nouvelle")
        with self.alone():
            known, known_root = self.remembered(origin)
            if old != known:
                raise No(409, f"{known}\n", "text/x.tlog.size")
            if size == 0 and root != hashlib.sha256(b"").digest():
                raise No(422, "la racine d'un journal vide est connue, ce n'est pas celle-là")
            if not known:
                if path:
                    raise No(422, "rien ne se prouve depuis un journal vide")
            elif not is_extension(known, known_root, size, root, path):
                self.keep_evidence(note)
                raise No(422, f"ce relevé ne prolonge pas celui de {known} inscriptions que ce témoin a cosigné")
            at = int(time.time())
            message = f"cosignature/v1\ntime {at}\n{text}".encode()
            raw = key_hash(self.name, WITNESS, self.public) + at.to_bytes(8, "big") + self.private.sign(message)
            line = f"— {self.name} {base64.b64encode(raw).decode()}\n"
            mine = [f"— {who} {base64.b64encode(what).decode()}\n" for who, what in signatures if who == origin]
            kept = {
                "origin": origin, "size": size, "root": base64.b64encode(root).decode(),
                "checkpoint": f"{text}\n{''.join(mine)}{line}",
            }  # fmt: skip
            self.write(self.memory(origin), json.dumps(kept, ensure_ascii=False).encode())
        return line

    def check_signed(self, origin, text, signatures):
        key, signed = self.logs[origin], False
        for name, raw in signatures:
            if name != origin or raw[:4] != key_hash(origin, LOG, key):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], text.encode())
            except (InvalidSignature, ValueError):
                raise No(403, "la signature du journal ne correspond pas au relevé") from None
            signed = True
        if not signed:
            raise No(403, "ce relevé n'est pas signé par la clé du journal")

    def keep_evidence(self, note):
        """Un relevé signé par le journal et refusé peut prouver qu'il fut réécrit : il est gardé."""
        folder = self.folder / "refused"
        folder.mkdir(mode=0o700, exist_ok=True)
        if len(list(folder.iterdir())) < MOST_KEPT:
            self.write(folder / hashlib.sha256(note.encode()).hexdigest()[:32], note.encode())

    def last(self, origin_hash):
        """Le dernier relevé cosigné du journal de cette empreinte."""
        for origin in self.logs:
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash and self.memory(origin).exists():
                return json.loads(self.memory(origin).read_text())["checkpoint"]
        raise No(404, "rien à cette adresse")


# --- HTTP ---
def fetch(url, body=None):
    """Lit une adresse, ou y envoie un texte."""
    if not re.match("https?://", url):
        raise SystemExit(f"ce n'est pas une adresse http : {url}")
    local = re.match(r"https?://(127\.0\.0\.1|localhost|\[::1\])[:/]", url)
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))
    kind = {"Content-Type": "text/plain; charset=utf-8"}
    request = url if body is None else urllib.request.Request(url, body.encode(), kind)  # noqa: S310
    with opener.open(request, timeout=PATIENCE) as answer:
        return answer.read(LONGEST).decode()


def first_contact(url):
    limit = time.monotonic() + FIRST_CONTACT
    while True:
        try:
            return fetch(url)
        except OSError as error:
            if time.monotonic() > limit:
                raise SystemExit(f"{url} ne donne pas la clé du journal : {error}") from None
            time.sleep(0.5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    witness: Witness

    def do_POST(self):
        try:
            if self.path != "/add-checkpoint":
                raise No(404, "rien à cette adresse")
            length = self.headers.get("Content-Length", "")
            if not re.fullmatch("[0-9]{1,9}", length) or int(length) > LONGEST:
                raise No(413, f"une demande compte au plus {LONGEST} octets, et dit combien")
            body = self.rfile.read(int(length)).decode()
            self.answer(200, self.witness.add_checkpoint(body))
        except UnicodeDecodeError:
            self.refuse(No(400, "ce n'est pas du texte"))
        except No as no:
            self.refuse(no)

    def do_GET(self):
        try:
            if self.path == "/":
                return self.answer(200, f"{self.witness}\n")
            asked = re.fullmatch("/([0-9a-f]{64})/checkpoint", self.path)
            if not asked:
                raise No(404, "rien à cette adresse")
            return self.answer(200, self.witness.last(asked.group(1)))
        except No as no:
            return self.refuse(no)

    def refuse(self, no):
        self.close_connection = True  # le corps n'est peut-être pas lu
        if no.status in (403, 422):
            say(f"refusé : {no.why}")
        self.answer(no.status, no.why if no.why.endswith("\n") else no.why + "\n", no.kind)

    def answer(self, status, text, kind="text/plain; charset=utf-8"):
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        """Rien à dire de chaque demande."""


def server(witness, address):
    """Le serveur du témoin ; l'appelant lance `serve_forever`."""
    host, _, port = address.rpartition(":")
    handler = type("WitnessHandler", (Handler,), {"witness": witness})
    return ThreadingHTTPServer((host.strip("[]"), int(port)), handler)


def pull(witness, url):
    """Va lire le relevé d'aujourd'hui et la preuve qu'il prolonge le dernier cosigné ; rend le relevé cosigné."""
    url = url if url.endswith("/") else url + "/"
    note = fetch(url + "checkpoint")
    origin, size, _ = parse_checkpoint(parse_note(note)[0])
    known, _ = witness.remembered(origin)
    if known > size:
        raise No(422, f"le journal publie {size} inscriptions, ce témoin en a cosigné {known} : il a été raccourci")
    body = fetch(f"{url}coherence/{known}/{size}") if 0 < known < size else f"old {known}\n\n{note}"
    witness.add_checkpoint(body)
    return witness.last(hashlib.sha256(origin.encode()).hexdigest())


def hand_back(witness, url, cosigned):
    """Rend à la plateforme la cosignature du relevé qu'on y a lu ; elle peut déjà l'avoir."""
    url = url if url.endswith("/") else url + "/"
    text, _ = parse_note(cosigned)
    lines = [line for line in cosigned[len(text) + 1 :].splitlines() if line.startswith(f"— {witness.name} ")]
    fetch(f"{url}releves/{parse_checkpoint(text)[1]}/cosignatures", lines[-1] + "\n")


def why(error):
    """Ce qu'un serveur répond en refusant, sinon l'erreur elle-même."""
    said = error.read(1000).decode(errors="replace").strip() if isinstance(error, urllib.error.HTTPError) else ""
    return f"{error} {said}".strip()


def say(text):
    print(text, file=sys.stderr, flush=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dossier", type=Path)
    parser.add_argument("--nom", required=True)
    parser.add_argument("--journal", action="append", default=[])
    parser.add_argument("--ecoute")
    parser.add_argument("--releve")
    parser.add_argument("--rendre", action="store_true")
    asked = parser.parse_args(arguments)
    witness = Witness(asked.dossier, asked.nom)
    if asked.rendre and not asked.releve:
        parser.error("--rendre va avec --releve")
    if not asked.ecoute and not asked.releve:
        print(witness)
        return 0
    for one in asked.journal:
        witness.know(one)
    if not witness.logs:
        parser.error("--journal : la clé publique d'un journal au moins")
    if asked.releve:
        try:
            cosigned = pull(witness, asked.releve)
        except (No, OSError) as error:
            say(f"Pas de cosignature : {error}")
            return 1
        print(cosigned, end="")
        try:
            if asked.rendre:
                hand_back(witness, asked.releve, cosigned)
        except OSError as error:
            say(f"Cosigné, mais pas rendu : {why(error)}")
            return 1
        return 0
    listening = server(witness, asked.ecoute)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    say(f"Le témoin {witness.name} écoute sur {asked.ecoute}")
    listening.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
