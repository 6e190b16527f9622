"""A running download is cut while a slow client reads; the range that would go on is refused; then access is back."""

import re
import socket
import threading
import time
from urllib.parse import urlencode, urlsplit

import httpx

from deploy.demo.people import Page
from deploy.demo.story import Step, StepFailed, Story

PER_TURN, PAUSE = 8 * 1024, 0.1  # bytes and seconds: 80 kB/s, a bad mobile line
CUT_WITHIN = 10  # seconds after the suspension (legal-gate, section 6.1)
CHUNK = 8 * 1024 * 1024  # bytes that may still follow it


class SlowReader(threading.Thread):
    """A browser on a bad line: one POST on a plain socket, its answer read a little at a time to the end."""

    def __init__(self, address: str, headers: dict[str, str], body: str):
        super().__init__(daemon=True)
        parts = urlsplit(address)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        self.socket.settimeout(30)
        self.socket.connect((parts.hostname, parts.port))
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        self.head = head.decode("latin-1")
        self.received = 0
        self.ended_at: float | None = None

    @property
    def size(self) -> int:
        return int(re.search(r"(?i)content-length: (\d+)", self.head)[1])

    def run(self):
        while True:
            try:
                got = self.socket.recv(PER_TURN)
            except OSError:
                got = b""
            if not got:
                break
            self.received += len(got)
            time.sleep(PAUSE)
        self.ended_at = time.monotonic()


def _request(story: Story) -> tuple[str, dict[str, str], dict[str, str]]:
    """Where the page's own button sends, with what."""
    samir, path = story.people["samir"], f"/remises/{story.memory.traffic_release}/"
    page = samir.page(path)
    form = next(iter(page.tree.xpath("//form[@id='download-form']")), None)
    if form is None:
        raise StepFailed("la page de la remise n'offre pas de la télécharger")
    token = form.xpath(".//input[@name='csrfmiddlewaretoken']/@value")[0]
    headers = {"Referer": samir.site + path, "Origin": samir.site}
    return form.get("action"), headers, {"csrfmiddlewaretoken": token}


def start(story: Story):
    samir = story.entered("samir")
    address, headers, fields = _request(story)
    cookies = "; ".join(f"{one.name}={one.value}" for one in samir.browser.cookies.jar)
    kind = "application/x-www-form-urlencoded"
    reader = SlowReader(address, {**headers, "Cookie": cookies, "Content-Type": kind}, urlencode(fields))
    if " 200 " not in reader.head.split("\r\n")[0]:
        raise StepFailed(f"le téléchargement ne commence pas : {reader.head}")
    reader.start()
    story.memory["slow_reader"], story.memory["slow_request"] = reader, (address, headers, fields)


def suspend(story: Story):
    """One officer, one reason, at once."""
    marc, ref = story.entered("marc"), story.memory.traffic_convention
    marc.follow(f"/conventions/{ref}/", f"/conventions/{ref}/suspendre/")
    marc.submit(f"/conventions/{ref}/suspendre/", "suspend", reason="Comptage en double sur un portique, à vérifier.")
    story.memory["suspended_at"] = time.monotonic()


def cut(story: Story):
    """The slow stream stops within ten seconds, and the page says after how many bytes."""
    reader, at = story.memory["slow_reader"], story.memory["suspended_at"]
    reader.join(CUT_WITHIN + 5)
    if reader.ended_at is None or reader.ended_at - at > CUT_WITHIN + 1:
        raise StepFailed("le téléchargement lent n'est pas coupé dix secondes après la suspension")
    if reader.received >= reader.size:
        raise StepFailed(f"le fichier entier est parti ({reader.size} octets) malgré la suspension")

    def told(answer: httpx.Response):
        return re.search(r"coupé après ([\d\s]+) octets", Page(answer).text)

    path = f"/remises/{story.memory.traffic_release}/"
    sent = int(re.sub(r"\D", "", told(story.wait(story.people["samir"], path, told, timeout=10))[1]))
    if not reader.received <= sent <= reader.received + CHUNK:
        raise StepFailed(f"le journal dit {sent} octets, le client en a reçu {reader.received}")


def go_on(story: Story):
    """The rest of the file, by range: the gate is asked anew, and says no."""
    address, headers, fields = story.memory["slow_request"]
    start_at = story.memory["slow_reader"].received
    answer = story.answer = story.people["samir"].browser.post(
        address, data=fields, headers={**headers, "Range": f"bytes={start_at}-"}
    )
    story.refused("une convention suspendue : le téléchargement coupé ne reprend pas", "samir", answer, "G10")


def resume(who: str, *, second: bool):
    def run(story: Story):
        ref = story.memory.traffic_convention
        path = f"/conventions/{ref}/retablir/"
        person = story.entered(who)
        person.follow("/bureau/", path if second else f"/conventions/{ref}/")
        answer = person.submit(path, "resume", reason="Comptage vérifié, portique réparé.")
        if second and "« active »" not in Page(answer).text:
            raise StepFailed(f"deux agents ont décidé et l'accès n'est pas rétabli : {Page(answer).text[:400]}")

    return run


STEPS = [
    Step("commence à télécharger le trafic sur une ligne lente", "samir", start),
    Step("suspend la convention pendant ce temps", "marc", suspend),
    Step("voit le téléchargement coupé, et après combien d'octets", "samir", cut),
    Step("veut reprendre où il en était : refusé", "samir", go_on),
    Step("propose de rétablir l'accès", "ines", resume("ines", second=False)),
    Step("rétablit l'accès en second", "marc", resume("marc", second=True)),
]
