"""The story: steps told by each room, every one an HTTP request of the person named over the running server."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.demo.people import Page, Person, StepFailed

__all__ = ["ROOMS", "Page", "Person", "Step", "StepFailed", "Story"]

# The order in which the rooms are played: a module of this package and, after a colon, its list (else `STEPS`).
ROOMS = (
    # The first half: one release, whole.
    "zones", "offer", "opposition", "registry", "convention", "release", "audit",
    # The second half: every kind of zone, what is refused, what ends.
    "places", "newcomers", "files", "energy", "cardelia", "records", "notice",
    "files:RELEASES", "energy:RELEASES", "cardelia:RELEASES", "records:RELEASES",
    "refusals", "end:TAKES", "objection", "suspension", "withdrawal", "end",
    # The log of the whole story, verified without the platform.
    "audit:LAST",
)  # fmt: skip
DATA = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True, slots=True)
class Step:
    """`name` is a French sentence fragment ("publie l'offre"), `who` the key of a person of the cast."""

    name: str
    who: str
    run: Callable[["Story"], Any]


class Memory(dict):
    """What a step leaves for the later ones; `memory.stays` and `memory["stays"]` are the same."""

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise StepFailed(f"aucune étape n'a encore donné « {name} »") from None

    def __setattr__(self, name: str, value):
        self[name] = value


@dataclass
class Story:
    """What the steps share. `var` is the demo's folder; files that the summary names go under `artefacts`."""

    site: str
    delivery: str
    var: Path
    people: dict[str, Person]
    memory: Memory = field(default_factory=Memory)
    # Parts of var/demo/summary.json that the steps fill.
    release: dict = field(default_factory=dict)
    audit: dict = field(default_factory=dict)
    zones: list[dict[str, Any]] = field(default_factory=list)  # kind, commune, population or length (km)
    refusals: list[dict[str, Any]] = field(default_factory=list)  # step, who, rules: the ids in order
    artefacts: dict[str, Any] = field(default_factory=dict)
    answer: httpx.Response | None = None  # what a machine was last answered in this step, where no person asked

    @property
    def data(self) -> Path:
        """The folder of the real files, each with its origin and licence."""
        return DATA

    def entered(self, key: str) -> Person:
        """The person `key`, signed in with both factors if they were not yet."""
        person = self.people[key]
        if not person.browser.cookies.get("sessionid"):
            person.sign_in()
        return person

    def refused(self, step: str, who: str, answer: httpx.Response, *rules: str) -> None:
        """Keep a refusal for the summary: `answer` must show exactly the ids `rules`, in order, each with its words.

        Raises StepFailed when the page shows others. Rules that are obligations are not shown on a refusal."""
        page = Page(answer)
        shown = [
            " ".join(badge.text_content().split())
            for badge in page.tree.xpath("//*[contains(@class, 'reasons')]//*[contains(@class, 'badge')]")
        ]
        if tuple(shown) != rules:
            raise StepFailed(f"{step} : refus attendu {rules}, la page montre {shown} — {page.text[:600]}")
        self.refusals.append({"step": step, "who": who, "rules": list(rules)})

    def keep(self, name: str, file_name: str, content: bytes) -> Path:
        """Write an artefact of the story and name it in the summary."""
        path = self.var / "artefacts" / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.artefacts[name] = path
        return path

    def wait(
        self, person: Person, path: str, until: Callable[[httpx.Response], Any], timeout: float = 60, every: float = 0.2
    ) -> httpx.Response:
        """GET `path` until `until(answer)` is true; StepFailed with the page's words after `timeout` seconds."""
        limit = time.monotonic() + timeout
        while True:
            answer = person.get(path)
            if until(answer):
                return answer
            if time.monotonic() > limit:
                raise StepFailed(f"{path} n'est pas prêt après {timeout:.0f} s : {Page(answer).text[:600]}")
            time.sleep(every)
