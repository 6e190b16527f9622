"""Pictures of a running demo: `make screenshots` walks the site as each of the cast and looks at every kind of page.

    python -m deploy.screenshots [--site http://127.0.0.1:8000] [--var var/demo] [--who julie,claire] [--looks all]

From the home (a visitor) or the desk (a person) it follows links, one address of each kind of page, and writes
var/screenshots/<person>/<page>-<look>.png. A page that answers with an error is named at the end, exit status 1.

    python -m deploy.screenshots --best docs/images

takes the six pictures of the README from a demo played to its end: real pages, light, each at most 150 kB.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from deploy.demo import cast
from deploy.demo.people import TOTP_STEP, totp

ROOT = Path(__file__).resolve().parent.parent
CHROMIUMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
LOOKS = {  # width in CSS pixels, scheme
    "desktop-light": (1280, "light"),
    "phone-dark": (390, "dark"),
    "phone-light": (390, "light"),
    "desktop-dark": (1280, "dark"),
}
USUAL = ("desktop-light", "phone-dark")
# The README's pictures: name, who looks, the page (a key of the story's memory in braces), width, height of the cut.
BEST = (
    ("home", "", "/", 1280, 1940),
    ("zone", "", "/zones/{hospital}/", 1280, 1180),
    ("dataset", "", "/jeux/{stays}/", 1280, 1180),
    ("convention", "julie", "/conventions/{convention}/", 1280, 1180),
    ("release", "samir", "/remises/{release}/", 1280, 1400),
    ("journal", "anne", "/journal/?question=refus", 1280, 1180),
)
# Looked at whatever the links followed before them.
ALSO = {"anne": ("/journal/mois/", "/journal/recherches/", "/journal/sante/", "/rapprochement/")}
MOST_BYTES, MOST_BYTES_ALL = 150_000, 1_000_000
DEPTH = 3  # links from the start
PAGES = 60  # at most, for one person
NOT_PAGES = re.compile(
    r"\.(pdf|json|jsonl|zip|txt|csv|py|sig|tsr|xml)$|^/(log/(check|cle|tile|preuve|releves/.|coherence/.)|static|telecharger|ordres|api|compte/2fa/rec|demo/h)|logout"
)
# What differs between two pages of one kind.
VARIABLE = re.compile(r"(?<=/)([0-9a-f]{8}-[0-9a-f-]{27}|\d+|CV-[^/]+)(?=/|$)")
SLUG = re.compile(r"^/(zones|jeux)/(?!nouvelle/)[^/]+")


def kind_of(path: str) -> str:
    """The kind of page at `path`: the address without what names one object."""
    return VARIABLE.sub("x", SLUG.sub(r"/\1/x", path))


def file_name(kind: str) -> str:
    return kind.strip("/").replace("/", "_") or "accueil"


def sign_in(page, email: str, password: str, secret: str) -> None:
    """Through the pages; a code that was used already is refused, so the next one is awaited."""
    page.goto("/compte/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state()
    for _ in range(3):
        if "/2fa/" not in page.url:
            return
        page.fill("input[name=code]", totp(secret, int(time.time() // TOTP_STEP)))
        page.press("input[name=code]", "Enter")
        page.wait_for_load_state()
        if "/2fa/" in page.url:
            time.sleep(TOTP_STEP - time.time() % TOTP_STEP + 0.5)


def walk(page, start: str, folder: Path, looks: tuple[str, ...]) -> list[str]:
    """Look at every kind of page reachable from `start`; returns the faults."""
    seen, faults = set(), []
    queue = [(start, 0), *((path, DEPTH) for path in ALSO.get(folder.name, ()))]
    while queue and len(seen) < PAGES:
        path, depth = queue.pop(0)
        kind = kind_of(path)
        if kind in seen:
            continue
        seen.add(kind)
        answer = page.goto(path)
        if answer is None or answer.status >= 400:
            faults.append(f"{folder.name}: {path} answers {answer.status if answer else 'nothing'}")
        for look in looks:
            width, scheme = LOOKS[look]
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{file_name(kind)}-{look}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                faults.append(f"{folder.name}: {path} is wider than the window ({look})")
        if depth < DEPTH:
            for address in page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"):
                parts = urlsplit(address)
                if parts.netloc == urlsplit(page.url).netloc and not NOT_PAGES.search(parts.path):
                    queue.append((parts.path, depth + 1))
    return faults


def best(browser, site: str, var: Path, to: Path) -> list[str]:
    """Write the README's pictures to `to`; returns the faults: a page that is not there, a picture too heavy."""
    memory = json.loads((var / "summary.json").read_text())["memory"]
    secrets = json.loads((var / "cast.json").read_text())
    to.mkdir(parents=True, exist_ok=True)
    faults, total = [], 0
    for name, key, path, width, height in BEST:
        context = browser.new_context(
            base_url=site, locale="fr-FR", color_scheme="light", viewport={"width": width, "height": height}
        )
        page = context.new_page()
        if key:
            sign_in(page, cast.character(key).email, secrets[key]["password"], secrets[key]["totp"])
        answer = page.goto(path.format(**memory))
        if answer.status >= 400:
            faults.append(f"{name}: {path} answers {answer.status}")
        newer = page.get_by_role("link", name="Voir la version à jour")  # an objection made the first one obsolete
        if newer.count():
            newer.first.click()
            page.wait_for_load_state()
        page.evaluate("document.fonts.ready")
        picture = to / f"{name}.png"
        page.screenshot(path=picture)
        lighten(picture)
        total += picture.stat().st_size
        if picture.stat().st_size > MOST_BYTES:
            faults.append(f"{name}: {picture.stat().st_size} bytes, {MOST_BYTES} at most")
        context.close()
    return faults if total <= MOST_BYTES_ALL else [*faults, f"{total} bytes in all, {MOST_BYTES_ALL} at most"]


def lighten(picture: Path) -> None:
    """256 colours are enough for pages of text: pngquant makes the file three to four times smaller."""
    pngquant = shutil.which("pngquant")
    if pngquant is None:
        sys.exit("No pngquant: install it (apt-get install pngquant).")
    subprocess.run(
        [pngquant, "--force", "--strip", "--speed", "1", "--output", str(picture), "256", str(picture)], check=True
    )


def main() -> None:
    from playwright.sync_api import sync_playwright

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--site", default="http://127.0.0.1:8000")
    options.add_argument("--var", type=Path, default=ROOT / "var" / "demo")
    options.add_argument("--who", default="")
    options.add_argument("--looks", default="usual", choices=["usual", "all"])
    options.add_argument("--best", type=Path, help="write the README's six pictures to this folder, and nothing else")
    options.add_argument("--to", type=Path, default=ROOT / "var" / "screenshots")
    chosen = options.parse_args()
    chromium = next(
        (path for path in (os.environ.get("TERRAIN_CHROMIUM", ""), *CHROMIUMS) if Path(path).is_file()), None
    )
    if chromium is None:
        sys.exit("No Chromium: install it (apt-get install chromium) or set TERRAIN_CHROMIUM.")
    secrets = json.loads((chosen.var / "cast.json").read_text())
    wanted = set(chosen.who.split(",")) if chosen.who else {"visitor", *secrets}
    looks = tuple(LOOKS) if chosen.looks == "all" else USUAL
    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        if chosen.best:
            faults = best(browser, chosen.site, chosen.var, chosen.best)
            browser.close()
            print("\n".join(faults) or f"six pictures in {chosen.best}")
            sys.exit(1 if faults else 0)
        people = [("visitor", None), *((one.key, one) for one in cast.CAST if one.key in secrets)]
        for key, one in people:
            if key not in wanted:
                continue
            folder = chosen.to / key
            folder.mkdir(parents=True, exist_ok=True)
            context = browser.new_context(base_url=chosen.site, locale="fr-FR")
            page = context.new_page()
            if one is not None:
                sign_in(page, one.email, secrets[key]["password"], secrets[key]["totp"])
            faults += walk(page, "/" if one is None else "/bureau/", folder, looks)
            print(f"{key}: {len(list(folder.glob('*.png')))} pictures in {folder}", flush=True)
            context.close()
        browser.close()
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
