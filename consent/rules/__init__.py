"""The rule sets of the gate. A published file is never edited: a change is a new version with a later
`effective_from`, and a test pins the SHA-256 of each file. A decision names the version and the digest it used."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. `certainty`: "sure" rests on law, "check" awaits counsel, "policy" is the project's choice."""

    id: str
    key: str
    order: int
    group: str
    applies_to: tuple[str, ...]
    inputs: tuple[str, ...]
    rule: str
    on_fail: str
    recheck_in_stream: bool
    legal_source: tuple[str, ...]
    legal_to_confirm: tuple[str, ...]
    certainty: str
    message_fr: str
    message_en: str
    tests: tuple[str, ...]
    obligation: str = ""
    on_fail_download: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class RuleSet:
    version: str
    sha256: str
    effective_from: date
    timezone: ZoneInfo
    actions: tuple[str, ...]
    parameters: Mapping[str, int]
    placeholders: Mapping[str, str]
    rules: tuple[Rule, ...]

    def for_action(self, action: str) -> tuple[Rule, ...]:
        """The rules that apply to `action`, in their order."""
        return tuple(rule for rule in self.rules if action in rule.applies_to)

    def __getitem__(self, rule_id: str) -> Rule:
        return next(rule for rule in self.rules if rule.id == rule_id)


@cache
def load(version: str) -> RuleSet:
    """The rule set `version`. Raises FileNotFoundError when there is none."""
    body = (FOLDER / f"{version}.toml").read_bytes()
    facts = tomllib.loads(body.decode())
    if facts["ruleset_version"] != version:
        raise ValueError(f"{version}.toml says it is {facts['ruleset_version']}")
    rules = sorted((Rule(**_frozen(rule)) for rule in facts["rule"]), key=lambda rule: rule.order)
    return RuleSet(
        version=version,
        sha256=hashlib.sha256(body).hexdigest(),
        effective_from=facts["effective_from"],
        timezone=ZoneInfo(facts["timezone"]),
        actions=tuple(facts["actions"]),
        parameters=MappingProxyType(facts["parameters"]),
        placeholders=MappingProxyType(facts["placeholders"]),
        rules=tuple(rules),
    )


def _frozen(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


@cache
def versions() -> tuple[str, ...]:
    """Every version, the earliest in force first."""
    found = (path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda version: load(version).effective_from))


def current(now: datetime) -> RuleSet:
    """The rule set in force on the Paris day of `now`. Raises LookupError before the first one."""
    for version in reversed(versions()):
        rules = load(version)
        if rules.effective_from <= now.astimezone(rules.timezone).date():
            return rules
    raise LookupError(f"no rule set is in force at {now.isoformat()}")
