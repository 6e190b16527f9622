"""What a named person learns and undertakes before opening personal data (rule G03). Pure: a published file and its
SHA-256, never edited; the French text of the undertaking is the one that is signed."""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
VERSION = "2026.11.0"


@dataclass(frozen=True, slots=True)
class Course:
    """The pages and the questions of one version; the same for every family, whose name heads them."""

    version: str
    sha256: str
    lessons: tuple[dict[str, Any], ...]
    questions: tuple[dict[str, Any], ...]
    undertaking: dict[str, list[str]]
    families: tuple[dict[str, Any], ...]


@cache
def load(version: str = VERSION) -> Course:
    """The course `version`. Raises FileNotFoundError when there is none."""
    body = (FOLDER / f"{version}.toml").read_bytes()
    facts = tomllib.loads(body.decode())
    return Course(
        version, hashlib.sha256(body).hexdigest(), tuple(facts["lesson"]), tuple(facts["question"]),
        facts["undertaking"], tuple(facts["family"]),
    )  # fmt: skip


@cache
def _family_by_domain() -> dict[str, str]:
    return {domain: family["code"] for family in load().families for domain in family["domains"]}


def families_of(domains: Iterable[str]) -> tuple[str, ...]:
    """The families of training that `domains` ask for, each once. Raises KeyError on a domain of no family."""
    return tuple(dict.fromkeys(_family_by_domain()[domain] for domain in domains))


def name_of(family: str, language: str = "fr") -> str:
    """What people call `family`. Raises KeyError on a stranger."""
    names = {one["code"]: one for one in load().families}
    return names[family]["name_en" if language.startswith("en") else "name_fr"]


def undertaking(language: str = "fr", **names: str) -> str:
    """The undertaking of one person under one convention: `person`, `org`, `ref`, `dataset`."""
    lines = load().undertaking["text_en" if language.startswith("en") else "text_fr"]
    return "\n".join(line.format(**names) for line in lines)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
