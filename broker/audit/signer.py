"""The signer: a process of its own, that holds the log's private key and signs nothing but extensions.

It keeps the size and the root it signed last in its own file, outside the database: a database restored too far
back, or rewritten, gets no signature. It speaks one JSON document a line over a Unix socket (0600).
"""

import contextlib
import json
import os
import shutil
import socket
import socketserver
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit import merkle
from broker.audit.checkpoint import Checkpoint, Signer, Verifier, from_base64, to_base64
from broker.audit.files import write_whole

LONGEST_LINE = 64 * 1024
PATIENCE = 10  # seconds a connection may stay silent
SOCKET_PATH_MAX = 100


class SignerError(Exception):
    """The signer said no: what was asked is not an extension of what it signed. Nothing may go on."""


class SignerDown(Exception):
    """The signer does not answer; the log goes on and is signed later."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The log's public key, and what the signer signed last (size 0 and the empty root before the first)."""

    verifier: Verifier
    size: int
    root: bytes


class Signing:
    """The key and the memory, in one private folder."""

    def __init__(self, folder: Path, origin: str):
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, memory = self.folder / "log.key", self.folder / "signed.json"
        if not key.exists() and not memory.exists():
            self._write(
                memory, json.dumps({"origin": origin, "size": 0, "root": to_base64(merkle.EMPTY_ROOT)}).encode()
            )
            self._write(key, Ed25519PrivateKey.generate().private_bytes_raw())
        if not key.exists() or not memory.exists():
            raise SystemExit(
                f"{self.folder} holds only one of log.key and signed.json. Restore both from the same backup; without "
                "the key this log is closed, and a new one names its last checkpoint."
            )
        if key.stat().st_mode & 0o077:
            raise SystemExit(f"{key} can be read by others: chmod 600 {key}")
        self.signer = Signer(origin, Ed25519PrivateKey.from_private_bytes(key.read_bytes()))
        remembered = json.loads(memory.read_text())
        if remembered["origin"] != origin:
            raise SystemExit(f"{self.folder} signs {remembered['origin']}, not {origin}: mend LOG_ORIGIN.")
        self.memory = memory
        self.size, self.root = remembered["size"], from_base64(remembered["root"])

    _write = staticmethod(write_whole)

    def state(self) -> Signed:
        return Signed(self.signer.verifier, self.size, self.root)

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        """The signed checkpoint of `size` leaves. Raises SignerError unless `proof` shows that it extends the last.

        The same size and root are signed again to the same bytes: a crash between signature and storage is mended.
        """
        try:
            if self.size:
                merkle.verify_consistency(self.size, size, proof, self.root, root)
            elif size <= 0 or len(root) != merkle.HASH_BYTES or proof:
                raise merkle.InvalidProof("the first checkpoint holds at least one leaf and needs no proof")
        except merkle.InvalidProof as error:
            raise SignerError(f"not an extension of the {self.size} leaves signed last: {error}") from error
        if size != self.size:
            document = {"origin": self.signer.name, "size": size, "root": to_base64(root)}
            self._write(self.memory, json.dumps(document).encode())
            self.size, self.root = size, root
        return self.signer.sign(Checkpoint(self.signer.name, size, root).text())

    def answer(self, line: bytes) -> dict:
        """The answer to one request of the socket."""
        try:
            asked = json.loads(line)
            if asked == {"do": "state"}:
                return {"key": str(self.signer.verifier), "size": self.size, "root": to_base64(self.root)}
            if asked.get("do") == "sign":
                path = [from_base64(value) for value in asked["proof"]]
                return {"note": self.sign(int(asked["size"]), from_base64(asked["root"]), path)}
            return {"error": "ask for state or sign"}
        except SignerError as error:
            return {"error": str(error)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"error": f"this request cannot be read: {error!r}"}


@contextlib.contextmanager
def reachable(path: str):
    """`path`, or a short name of it while the block lasts: the kernel takes 107 bytes."""
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        yield path
        return
    folder = os.open(Path(path).parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)


class _Handler(socketserver.StreamRequestHandler):
    timeout = PATIENCE

    def handle(self):
        try:
            while line := self.rfile.readline(LONGEST_LINE):
                self.wfile.write(json.dumps(self.server.signing.answer(line)).encode() + b"\n")
        except OSError:  # the other side went away or stayed silent: the next one is served
            return


class Server(socketserver.UnixStreamServer):
    """One request at a time; nobody but the socket's owner may ask, and `group` when it is named."""

    def __init__(self, path: str, signing: Signing, *, group: str = ""):
        self.signing = signing
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with reachable(path) as short:
                super().__init__(short, _Handler)
        finally:
            os.umask(before)
        if group:
            shutil.chown(path, group=group)
            Path(path).chmod(0o660)


class Client:
    """The sequencer's side of the socket; the same two questions as `Signing`."""

    def __init__(self, path: str):
        self.path = path

    def _ask(self, question: dict) -> dict:
        try:
            with socket.socket(socket.AF_UNIX) as link, reachable(self.path) as short:
                link.settimeout(PATIENCE)
                link.connect(short)
                link.sendall(json.dumps(question).encode() + b"\n")
                with link.makefile("rb") as answer:
                    line = answer.readline(LONGEST_LINE)
        except OSError as error:
            raise SignerDown(f"the signer does not answer at {self.path}: {error}") from error
        if not line.endswith(b"\n"):
            raise SignerDown("the signer went away before it answered")
        said = json.loads(line)
        if "error" in said:
            raise SignerError(said["error"])
        return said

    def state(self) -> Signed:
        said = self._ask({"do": "state"})
        return Signed(Verifier.parse(said["key"]), said["size"], from_base64(said["root"]))

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        question = {"do": "sign", "size": size, "root": to_base64(root), "proof": [to_base64(h) for h in proof]}
        return self._ask(question)["note"]
