"""Days on pages: the words of Django's own filter, in the language of the page."""

from datetime import UTC, date, datetime

import pytest
from django.template import Context, Template, defaultfilters
from django.utils import translation

TEMPLATE = Template("{{ day|date:'j F Y' }}|{{ day|date }}|{{ day|date:'c' }}")


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("day", [date(2026, 2, 1), datetime(2026, 2, 1, 23, 30, tzinfo=UTC), None, ""])
def test_a_day_is_written_as_django_writes_it_in_each_language(day, language):
    with translation.override(language):
        shown = TEMPLATE.render(Context({"day": day}))
        again = TEMPLATE.render(Context({"day": day}))

        if type(day) is date:
            expected = "|".join(defaultfilters.date(day, form) for form in ("j F Y", None, "c"))
            assert shown == again == expected
    if isinstance(day, datetime):
        assert shown.startswith("2 f" if language == "fr" else "2 F"), "in the time of Paris it is the next day"
    if not day:
        assert shown == "||"
