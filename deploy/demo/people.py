"""A person of the demo with a browser of their own: cookies, forms filled like a browser would, TOTP codes.

Nothing here knows the database: what a `Person` does is an HTTP request over the running server.
"""

import base64
import hashlib
import hmac
import mimetypes
import struct
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import httpx
import lxml.html

TOTP_STEP = 30  # seconds, RFC 6238 section 4
TOTP_TOLERANCE = 1  # steps either way, as MFA_TOTP_TOLERANCE in the settings
TIMEOUT = 120  # seconds: an upload of 19 MB is hashed and sealed within the request


class StepFailed(Exception):
    """A step of the story did not hold; the message says what the page answered."""


def totp(secret: str, step: int) -> str:
    """The six digits of `secret` (base32) at the 30-second step `step`. Source: RFC 6238, RFC 4226 section 5.3."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 0x0F
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


class Page:
    """An HTML answer, read once. `forms`, `text` and `errors` are what a person would see."""

    def __init__(self, response: httpx.Response):
        self.response = response
        self.tree = lxml.html.document_fromstring(response.content, parser=lxml.html.HTMLParser(encoding="utf-8"))
        self.tree.make_links_absolute(str(response.url))

    @property
    def text(self) -> str:
        return " ".join(self.tree.text_content().split())

    @property
    def title(self) -> str:
        return " ".join((self.tree.findtext(".//title") or "").split())

    def errors(self) -> list[str]:
        """What the page says went wrong: form errors, reasons of a refusal, warnings."""
        wanted = ("errorlist", "error", "errors", "field-error", "reasons", "reason", "callout", "messages", "message")
        found: list[str] = []
        for element in self.tree.iter():
            classes = (element.get("class") or "").split() if isinstance(element.tag, str) else []
            if any(name in classes for name in wanted) or (
                isinstance(element.tag, str) and element.get("role") == "alert"
            ):
                text = " ".join(element.text_content().split())
                if text and not any(text in other for other in found):
                    found.append(text)
        return found

    def links(self, containing: str = "") -> list[str]:
        """The addresses of the page's links whose path holds `containing`."""
        return [a.get("href") for a in self.tree.iter("a") if a.get("href") and containing in a.get("href")]


class Person:
    """Somebody at their browser. `secret` is the base32 secret of their TOTP application, None before they enrol."""

    def __init__(
        self, key: str, *, site: str, name: str = "", email: str = "", password: str = "", secret: str | None = None
    ):
        self.key, self.name, self.email, self.password, self.secret = key, name or key, email, password, secret
        self.site = site.rstrip("/")
        self.last: httpx.Response | None = None
        self.seen: dict[str, None] = {}  # the paths of the pages this person had before them, in order
        self._used_steps: set[int] = set()
        self.browser = httpx.Client(
            base_url=self.site,
            follow_redirects=True,
            timeout=TIMEOUT,
            trust_env=False,
            headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "fr"},
            event_hooks={"response": [self.notice]},
        )

    # What the person sees

    def notice(self, answer: httpx.Response) -> None:
        """Remember a page of the site that was shown: tests visit it again with a real browser."""
        shown = answer.request.method == "GET" and "html" in answer.headers.get("content-type", "")
        if shown and not answer.is_redirect and str(answer.url).startswith(self.site + "/"):
            self.seen[answer.url.raw_path.decode()] = None

    def get(self, path: str, *, expect: int = 200) -> httpx.Response:
        """GET `path` (or a whole address), redirects followed. Raises StepFailed on another status than `expect`."""
        return self._checked(self.browser.get(path), expect)

    def page(self, path: str, *, expect: int = 200) -> Page:
        return Page(self.get(path, expect=expect))

    def follow(self, path: str, link: str) -> Page:
        """Open `path`, then the first of its links whose address holds `link`: the page is reachable, not guessed."""
        links = self.page(path).links(link)
        if not links:
            raise StepFailed(f"{self.name} : la page {path} n'a aucun lien vers « {link} »")
        return self.page(links[0])

    # What the person does

    def submit(self, path: str, form: str | None = None, *, expect: int = 200, **fields) -> httpx.Response:
        """Open `path`, fill the form that holds `fields` as a browser would, send it, follow the redirect.

        `form` names the form by its id or a part of its action when several hold the same fields. A value is text,
        a number, a date, a bool (check box), a list (several choices), a `Path` or (name, bytes) for a file. A field
        that is a button presses it. `expect` is the status of the last answer; 422 is a form that came back.
        """
        opened = self.get(path)
        chosen = self._find_form(opened, form, fields)
        return self._checked(self._send(opened, chosen, fields), expect, needs_no_errors=expect == 200)

    def post(self, path: str, *, expect: int = 200, **fields) -> httpx.Response:
        """POST `fields` to `path` with this browser's CSRF token, without opening a page that holds the form."""
        token = self.browser.cookies.get("csrftoken") or self._csrf_token()
        answer = self.browser.post(
            path,
            data={"csrfmiddlewaretoken": token, **fields},
            headers={"Referer": self.site + "/", "Origin": self.site},
        )
        return self._checked(answer, expect)

    def save(self, path: str, target: Path, form: str | None = None, *, post: bool = False, **fields) -> httpx.Response:
        """Download to `target`: a GET of `path`, or, with `post`, what the form of the page `path` answers."""
        answer = self.submit(path, form, **fields) if post else self.get(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(answer.content)
        return answer

    # Who the person is

    def sign_in(self) -> None:
        """Password then second factor, through the real pages."""
        self.browser.cookies.clear()
        answer = self.submit("/compte/login/", login=self.email, password=self.password)
        if "/2fa/authenticate" in answer.url.path:
            opened = answer
            chosen = self._find_form(opened, None, {"code": ""})
            answer = self._checked(self._send(opened, chosen, {"code": self.code()}), 200, needs_no_errors=True)
        if not self.browser.cookies.get("sessionid") or "/compte/" in answer.url.path:
            raise StepFailed(f"{self.name} n'a pas pu entrer : {answer.url.path} {' · '.join(Page(answer).errors())}")

    def sign_up(self, mailbox: Callable[[str], str], **facts) -> httpx.Response:
        """Open an account: the form, then the code received by e-mail (`mailbox(email)` gives the last message)."""
        answer = self.submit(
            "/compte/signup/", email=self.email, password1=self.password, password2=self.password, **facts
        )
        words = mailbox(self.email).split()
        codes = [word for word in words if len(word.strip(".")) >= 6 and word.strip(".").replace("-", "").isalnum()]
        codes = [word.strip(".") for word in codes if word.upper() == word]
        chosen = self._find_form(answer, None, {"code": ""})
        if not codes:
            raise StepFailed(f"aucun code dans le message reçu par {self.email}")
        return self._checked(self._send(answer, chosen, {"code": codes[-1]}), 200, needs_no_errors=True)

    def enrol(self) -> httpx.Response:
        """Set up the TOTP application from the secret that the page shows."""
        path = "/compte/2fa/totp/activate/"
        opened = self.get(path)
        shown = Page(opened).tree.xpath("//*[@id='authenticator_secret']")
        if not shown:
            raise StepFailed(f"la page {path} ne montre pas le secret (id authenticator_secret)")
        self.secret = (shown[0].get("value") or shown[0].text_content()).strip().replace(" ", "")
        chosen = self._find_form(opened, None, {"code": ""})
        return self._checked(self._send(opened, chosen, {"code": self.code()}), 200, needs_no_errors=True)

    def code(self) -> str:
        """A TOTP code never given before, among those the server takes now; waits only when none is left."""
        if not self.secret:
            raise StepFailed(f"{self.name} n'a pas encore de second facteur")
        while True:
            at = time.time()
            now = int(at // TOTP_STEP)
            # The oldest first: it dies first. One that dies within two seconds may arrive too late.
            first = now - TOTP_TOLERANCE + (TOTP_STEP - at % TOTP_STEP < 2)
            for step in range(first, now + TOTP_TOLERANCE + 1):
                if step not in self._used_steps:
                    self._used_steps.add(step)
                    return totp(self.secret, step)
            time.sleep(TOTP_STEP - at % TOTP_STEP + 0.05)

    # How a browser does it

    def _csrf_token(self) -> str:
        opened = self.get("/")
        shown = Page(opened).tree.xpath("//input[@name='csrfmiddlewaretoken']/@value")
        return self.browser.cookies.get("csrftoken") or str(next(iter(shown), ""))

    def _find_form(self, opened: httpx.Response, named: str | None, fields: dict):
        forms = [f for f in Page(opened).tree.forms if (f.method or "GET").upper() == "POST"]
        if named:
            forms = [f for f in forms if f.get("id") == named or named in (f.get("action") or "")]
        wanted = set(fields)
        holding = [f for f in forms if wanted <= self._names(f)]
        if not named:
            # Small forms of the frame (sign out, language) hold nothing that was asked for.
            holding = [f for f in holding if wanted or not (f.get("action") or "").endswith(("/logout/", "/setlang/"))]
        if not holding:
            there = [f"{f.get('action') or '.'}: {', '.join(sorted(self._names(f)))}" for f in forms]
            missing = f"formulaire « {named or ''} » avec {sorted(wanted)}"
            raise StepFailed(f"{self.name} : {opened.url.path} ne montre pas de {missing}; il y a {there}")
        return min(holding, key=lambda f: len(self._names(f)))

    @staticmethod
    def _names(form) -> set[str]:
        return {e.get("name") for e in form.iter("input", "select", "textarea", "button") if e.get("name")}

    def _send(self, opened: httpx.Response, form, fields: dict) -> httpx.Response:
        fields, data, files, pressed = dict(fields), [], [], False
        for element in form.iter("input", "select", "textarea", "button"):
            name, kind = element.get("name"), (element.get("type") or "").lower()
            if not name or element.get("disabled") is not None:
                continue
            if element.tag == "button" or kind in ("submit", "image"):
                value = element.get("value") or ""
                if name in fields and not pressed and str(fields[name]) in (value, "True"):
                    data.append((name, value))
                    pressed = True
                continue
            asked = fields.get(name, ...)
            if kind == "file":
                files += [(name, _file(one)) for one in ([] if asked is ... else _several(asked))]
            elif kind in ("checkbox", "radio"):
                value = element.get("value") or "on"
                checked = element.get("checked") is not None
                if asked is not ...:
                    checked = asked if isinstance(asked, bool) else value in map(str, _several(asked))
                if checked:
                    data.append((name, value))
            elif element.tag == "select":
                options = [(o.get("value", o.text_content().strip()), o) for o in element.iter("option")]
                if asked is ...:
                    chosen = [value for value, o in options if o.get("selected") is not None]
                    if not chosen and not element.get("multiple") and options:
                        chosen = [options[0][0]]
                else:
                    chosen = [str(one) for one in _several(asked)]
                    absent = set(chosen) - {value for value, _ in options}
                    if absent:
                        offered = [value for value, _ in options][:30]
                        raise StepFailed(f"{self.name} : « {name} » n'offre pas {sorted(absent)}; il offre {offered}")
                data += [(name, value) for value in chosen]
            elif element.tag == "textarea":
                data.append((name, _text(asked) if asked is not ... else (element.text or "").removeprefix("\n")))
            elif asked is not ... and isinstance(asked, (list, tuple)):
                remaining = list(asked)
                data.append((name, _text(remaining.pop(0)) if remaining else ""))
                fields[name] = remaining
            else:
                data.append((name, _text(asked) if asked is not ... else element.get("value") or ""))
        target = urldefrag(form.get("action") or str(opened.url))[0]
        parts = urlsplit(str(opened.url))
        headers = {"Referer": str(opened.url), "Origin": f"{parts.scheme}://{parts.netloc}"}
        body: dict[str, list[str]] = {}
        for name, value in data:
            body.setdefault(name, []).append(value)
        return self.browser.post(target, data=body, files=files or None, headers=headers)

    def _checked(self, answer: httpx.Response, expect: int, *, needs_no_errors: bool = False) -> httpx.Response:
        self.last = answer
        if answer.status_code != expect:
            kind = answer.headers.get("content-type", "")
            said = Page(answer) if "html" in kind and answer.content else None
            words = (" · ".join(said.errors()) or said.text[:600]) if said else answer.text[:600]
            asked = f"{answer.request.method} {answer.request.url.path}"
            raise StepFailed(f"{self.name} : {asked} a répondu {answer.status_code} au lieu de {expect} — {words}")
        if needs_no_errors and "html" in answer.headers.get("content-type", ""):
            wrong = Page(answer).tree.xpath("//*[contains(concat(' ', @class, ' '), ' errorlist ')]")
            if wrong:
                words = " · ".join(" ".join(e.text_content().split()) for e in wrong)
                raise StepFailed(f"{self.name} : {answer.url.path} refuse le formulaire — {words}")
        return answer


def _several(value) -> list:
    return list(value) if isinstance(value, (list, set, frozenset)) else [value]


def _text(value) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _file(value) -> tuple:
    """(name, content, type) as a browser sends a file."""
    name, content = (value.name, value.read_bytes()) if isinstance(value, Path) else value
    return name, content, mimetypes.guess_type(name)[0] or "application/octet-stream"
