"""The select written in one go says what Django's own says."""

from html.parser import HTMLParser

import pytest
from django.forms import ChoiceField, Select

from consent.forms import LongSelect

CHOICES = [("", "choisissez"), ("Jeux <b>", [("dataset:1", "L'air & l'eau"), ("dataset:2", '"Séjours"')]), (3, "Trois")]


@pytest.mark.parametrize("value", [None, "", "dataset:2", "3", "<script>"])
def test_a_long_select_says_what_an_ordinary_one_says(value):
    def parts(widget):
        field = ChoiceField(choices=CHOICES, widget=widget)
        return _parsed(field.widget.render("what", value, {"id": "id_what", "title": 'a"b'}))

    long, ordinary = parts(LongSelect), parts(Select)

    assert long == ordinary
    assert [line[0] for line in long].count("option") == 4


def _parsed(markup: str) -> list:
    found: list = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, sorted(attrs)))

        def handle_endtag(self, tag):
            found.append(("/" + tag, []))

        def handle_data(self, data):
            if data.strip():
                found.append((data.strip(), []))

    Reader().feed(markup)
    return found
