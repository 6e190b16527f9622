"""Days in words, each written once: a page of conventions or services shows the same days again and again."""

from datetime import date
from functools import lru_cache

from django import template
from django.template import defaultfilters
from django.utils.translation import get_language

register = template.Library()


@register.filter(name="date", expects_localtime=True, is_safe=False)
def in_words(value, form=None):
    """Django's own `date` filter, which this one replaces: a day, a form and a language always give the same words."""
    if type(value) is date:
        return _day_in_words(value, form, get_language())
    return defaultfilters.date(value, form)


@lru_cache(maxsize=4096)
def _day_in_words(day: date, form: str | None, language: str | None) -> str:
    return defaultfilters.date(day, form)
