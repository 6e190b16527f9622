"""Every French text of the site has its English, with the same placeholders."""

import re
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOGUE = ROOT / "locale" / "en" / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|%%|\{\w*\}|<[^>]+>")


@pytest.fixture(scope="module")
def entries():
    return [entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete]


def test_every_text_has_its_english(entries):
    missing = [
        entry.msgid
        for entry in entries
        if entry.fuzzy or not (all(entry.msgstr_plural.values()) if entry.msgid_plural else entry.msgstr)
    ]

    assert missing == []


def test_a_translation_keeps_the_placeholders(entries):
    changed = []
    for entry in entries:
        if entry.msgid_plural:
            pairs = [(entry.msgid_plural, entry.msgstr_plural[1])]
        else:
            pairs = [(entry.msgid, entry.msgstr)]
        changed += [
            french
            for french, english in pairs
            if sorted(PLACEHOLDER.findall(french)) != sorted(PLACEHOLDER.findall(english))
        ]

    assert changed == []


def test_every_text_of_the_templates_is_in_the_catalogue(entries):
    known = {entry.msgid for entry in entries}
    said = re.compile(r"""{%\s*translate\s+(?:"([^"]+)"|'([^']+)')""")
    lost = {
        text
        for template in (ROOT / "templates").rglob("*.html")
        for pair in said.findall(template.read_text())
        for text in pair
        if text and text not in known
    }

    assert lost == set()
