"""Every page that the people of the story had before them, opened again in a real browser and looked at four ways.

The story leaves in pages.json which addresses each person saw. One address of each route is enough for people whose
organisations are of the same kind; a desk is opened for everybody who does something else there.
"""

import json
import time

from django.urls import Resolver404, resolve

from deploy.demo import cast, run
from deploy.demo.people import TOTP_STEP, StepFailed

WIDTHS = {"phone": 390, "desktop": 1280}  # CSS pixels
# What a colour scheme can change: the other rules were asked in the light one, at the same width.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
EVERYTHING = {"resultTypes": ["violations"]}
OF_EACH_TITLE = ("desk",)


def route_of(path: str) -> str:
    """The name of the page at `path`, "" when none is there any more."""
    try:
        return resolve(path.partition("?")[0]).view_name or path
    except Resolver404:
        return ""


def chosen(pages: dict[str, list[str]]) -> dict[str, list[str]]:
    """Who opens which addresses: each route once for each kind of organisation, by the last who saw it."""
    kinds = {body.key: body.kind for body in cast.BODIES}
    opened: dict[tuple[str, str, str], tuple[str, str]] = {}
    for key, paths in pages.items():
        kind = kinds.get(cast.character(key).body, "experimenter")
        for path in paths:
            route = route_of(path)
            if route:
                title = cast.character(key).title if route in OF_EACH_TITLE else ""
                opened[route, kind, title] = (key, path)
    found: dict[str, list[str]] = {}
    for key, path in opened.values():
        found.setdefault(key, []).append(path)
    return found


def enter(person) -> list[dict]:
    """Sign in through the pages; returns the cookies. The story may have used the codes of this moment: others wait."""
    for _ in range(4):
        try:
            person.sign_in()
            break
        except StepFailed:
            time.sleep(TOTP_STEP - time.time() % TOTP_STEP + 0.1)
    else:
        person.sign_in()
    return [{"name": cookie.name, "value": cookie.value, "url": person.site} for cookie in person.browser.cookies.jar]


# Two parts beside the page that lie over one another once it is scrolled: a picture of a whole page never shows it.
PILED = """() => {
    window.scrollTo(0, 400);
    const parts = [...document.querySelectorAll(".side > *")].map(part => part.getBoundingClientRect());
    window.scrollTo(0, 0);
    return parts.some((part, at) => at > 0 && part.height > 0 && part.top < parts[at - 1].bottom - 1);
}"""


def faults_of(page, axe_script: str, path: str) -> list[str]:
    """What is wrong with the page at `path`: its frame, its width, every breach that axe finds in the four looks."""
    page.set_viewport_size({"width": WIDTHS["desktop"], "height": 900})
    page.emulate_media(color_scheme="light")
    answer = page.goto(path)
    if answer.status >= 500:
        return [f"{path} answers {answer.status}"]
    faults = page.evaluate(
        """() => [
            document.querySelectorAll("h1").length === 1 || "not exactly one h1",
            document.title.trim().length > "· Terrain".length || "no title",
            document.documentElement.lang === "fr" || "no language",
            document.querySelector("main") !== null || "no main",
        ].filter(fault => fault !== true)"""
    )
    if page.evaluate(PILED):
        faults.append("what stands beside the page piles up when it is scrolled")
    page.evaluate(axe_script)
    for scheme, options in (("light", EVERYTHING), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme)
        for name, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                faults.append(f"wider than the window ({name})")
            found = page.evaluate("options => axe.run(document, options).then(results => results.violations)", options)
            faults += [
                f"{one['id']} ({name}, {scheme}): {one['help']}: {[node['target'] for node in one['nodes'][:3]]}"
                for one in found
            ]
    return [f"{page.url}: {fault}" for fault in dict.fromkeys(faults)]


def look(chromium, demo, site: str) -> tuple[int, list[str]]:
    """(how many pages were opened, everything that is wrong with them)."""
    from axe_playwright_python.sync_playwright import Axe

    script = Axe().axe_script
    pages = json.loads((demo.var / "pages.json").read_text())
    people = run.load_people(demo.var, site)
    everybody = {route_of(path): path for paths in pages.values() for path in paths if route_of(path)}
    opened, faults = 0, []
    for key, paths in {"": list(everybody.values()), **chosen(pages)}.items():
        context = chromium.new_context(base_url=site, locale="fr-FR")
        context.set_default_timeout(20_000)  # ms
        if key:
            context.add_cookies(enter(people[key]))
        page = context.new_page()
        heard: list[str] = []
        page.on("console", lambda message, heard=heard: heard.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error, heard=heard: heard.append(str(error)))
        for path in paths:
            if not key and context.request.get(path, max_redirects=0).status != 200:
                continue  # a page that a visitor does not see
            faults += [f"{key or 'visitor'}: {fault}" for fault in faults_of(page, script, path)]
            opened += 1
        complaints = [text for text in heard if "the server responded with a status of 4" not in text]
        faults += [f"{key or 'visitor'}: the browser says: {text}" for text in complaints]
        context.close()
    return opened, faults
