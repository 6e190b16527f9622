"""Play the story over HTTP against the running processes; write var/demo/summary.json.

    python -m deploy.demo.run --var var/demo [--until STEP] [--rooms zones,offer]

`--until` stops after the first step whose name holds its words, or whose number it is. A story that was played to
its end is not played again (`played`): the summary is the mark, together with the database that still holds it.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time
import traceback
from pathlib import Path

from deploy.demo import cast
from deploy.demo.people import Person, StepFailed
from deploy.demo.story import ROOMS, Step, Story

ROOT = Path(__file__).resolve().parent.parent.parent
BEGUN = "begun"  # a file of the demo's folder: a story was begun on this database


def rooms(chosen: list[str] | None = None) -> list[tuple[str, list[Step]]]:
    """The steps of each room, in order. Raises StepFailed on a room that is not there."""
    told = []
    for named in chosen or ROOMS:
        room, _, steps = named.partition(":")
        if importlib.util.find_spec(f"deploy.demo.story.{room}") is None:
            raise StepFailed(f"l'histoire n'a pas de salle {room!r} : deploy/demo/story/{room}.py")
        told.append((named, getattr(importlib.import_module(f"deploy.demo.story.{room}"), steps or "STEPS")))
    return told


def load_people(var: Path, site: str) -> dict[str, Person]:
    """The cast with its passwords and TOTP secrets, as `seed_cast` wrote them to cast.json."""
    secrets = json.loads((var / "cast.json").read_text())
    return {
        one.key: Person(
            one.key, site=site, name=one.full_name, email=one.email, password=secrets[one.key]["password"],
            secret=secrets[one.key]["totp"],
        )
        for one in cast.CAST
    }  # fmt: skip


def keep_secrets(var: Path, people: dict[str, Person]) -> None:
    """Add the secrets that newcomers enrolled themselves, so that the cast's table can show them."""
    path = var / "cast.json"
    secrets = json.loads(path.read_text())
    for key, person in people.items():
        secrets[key] = {"password": person.password, "totp": person.secret}
    path.write_text(json.dumps(secrets, indent=1))


def keep_pages(var: Path, people: dict[str, Person]) -> None:
    """Write which pages each person saw, for the tests that look at every page of the story with a browser."""
    pages = {key: list(person.seen) for key, person in people.items() if person.seen}
    (var / "pages.json").write_text(json.dumps(pages, indent=1, ensure_ascii=False) + "\n")


def play(story: Story, told: list[tuple[str, list[Step]]], *, until: str = "", out=print) -> dict:
    """Play the steps, one progress line each. Returns the summary, `failed` holding the step that did not hold."""
    steps = [(room, step) for room, several in told for step in several]
    started, lines, failed, complete = time.monotonic(), [], "", True
    for number, (_room, step) in enumerate(steps, 1):
        person = story.people[step.who]
        person.last = story.answer = None
        begun = time.monotonic()
        try:
            step.run(story)
        except StepFailed as error:
            failed = str(error)
        except Exception as error:  # a fault of the story's own code: told with its place, then the story stops
            failed = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"
        seconds = time.monotonic() - begun
        answer = person.last if person.last is not None else story.answer  # None: a step that asked the site nothing
        status = answer.status_code if answer is not None else None
        lines.append({"name": step.name, "who": step.who, "status": status, "seconds": round(seconds, 3)})
        mark = "" if not failed else "  ✗"
        out(f"{number:>3}/{len(steps)} {step.who:<7} — {step.name} … {f'{seconds:.1f}'.replace('.', ',')} s{mark}")
        if failed:
            out(f"\n{failed}\n")
            break
        if until and (until == str(number) or until in step.name):
            complete = number == len(steps)
            break
    return {
        "steps": lines,
        "release": story.release,
        "audit": story.audit,
        "zones": story.zones,
        "refusals": story.refusals,
        "seconds_total": round(time.monotonic() - started, 3),
        "artefacts": {name: _relative(value) for name, value in story.artefacts.items()},
        "complete": complete and not failed,
        "failed": failed,
        "memory": {k: v for k, v in story.memory.items() if isinstance(v, (str, int)) and "secret" not in k},
    }


def _relative(value):
    """Paths relative to the checkout, also inside the parts of `release_inputs`."""
    if isinstance(value, dict):
        return {name: _relative(one) for name, one in value.items()}
    if isinstance(value, Path):
        path = value.absolute()
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    return value


def played(var: Path) -> bool:
    path = var / "summary.json"
    return path.exists() and json.loads(path.read_text()).get("complete", False)


def told_a_release(var: Path) -> bool:
    """Whether the summary holds what the second program needs: a part of the story may have none."""
    path = var / "summary.json"
    return path.exists() and "release_inputs" in json.loads(path.read_text())["artefacts"]


def run(*, var: Path, site: str, delivery: str, until: str = "", chosen: list[str] | None = None, out=print) -> dict:
    """Play and write the summary. Returns it."""
    people = load_people(var, site)
    story = Story(site=site, delivery=delivery, var=var, people=people)
    told = rooms(chosen)
    (var / BEGUN).touch()
    summary = play(story, told, until=until, out=out)
    summary["complete"] = summary["complete"] and chosen is None
    keep_secrets(var, people)
    keep_pages(var, people)
    (var / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "demo")
    parser.add_argument("--site", default="http://127.0.0.1:8000")
    parser.add_argument("--delivery", default="http://127.0.0.1:8001")
    parser.add_argument("--until", default="")
    parser.add_argument("--rooms", default="")
    asked = parser.parse_args()
    chosen = [room for room in asked.rooms.split(",") if room] or None
    summary = run(var=asked.var.absolute(), site=asked.site, delivery=asked.delivery, until=asked.until, chosen=chosen)
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
