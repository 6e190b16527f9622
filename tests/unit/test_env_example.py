"""deploy/env.example shows every variable that the settings read, and no other."""

import re
from pathlib import Path

from broker.desk.management.commands.draw_reference import example_notes, variables

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "env.example"


def test_the_example_lists_what_the_settings_read():
    shown = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE))

    assert shown == variables().keys()


def test_each_variable_says_what_it_is():
    notes = example_notes(EXAMPLE.read_text())

    assert [name for name in variables() if not notes.get(name)] == []


def test_the_example_holds_no_secret():
    values = dict(line.split("=", 1) for line in EXAMPLE.read_text().splitlines() if re.match(r"[A-Z0-9_]+=", line))

    assert values["SECRET_KEY"] == ""
    assert "password" not in values["DATABASE_URL"]
