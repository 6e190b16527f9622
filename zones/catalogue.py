"""The public catalogue: what datasets exist, never a row of them; what is left to choose, counted in one query."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.paginator import Paginator
from django.db.models import BooleanField, Count, ExpressionWrapper, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Collate
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _l

from broker import clock
from zones import geography
from zones.models import Dataset, Zone

SHORTEST = 2  # signs of a word
MOST_WORDS = 6  # of a search; the others are ignored
ACCESS = {
    "today": _l("accès le jour même"),
    "notice": _l("accès après préavis aux personnes"),
    "open": _l("déjà ouvertes ailleurs"),
    "none": _l("sans offre pour l'instant"),
}

OFFERED = ("today", "notice")  # both have an offer that can be taken up
ACCESS_ASKED = {"offered": _l("avec une offre"), **ACCESS}


@dataclass(frozen=True, slots=True)
class Offered:
    """Two conditions on a dataset: an offer of it can be taken up; one of these gives access the same day."""

    at_all: Any
    today: Any


def _nothing(now: datetime) -> Offered:
    never = ExpressionWrapper(Value(False), output_field=BooleanField())
    return Offered(never, never)


_offered: Callable[[datetime], Offered] = _nothing


def read_offers_by(conditions: Callable[[datetime], Offered]) -> None:
    """The room that keeps offers says, once and at start, how a dataset's are read: facts come from there as values."""
    global _offered
    _offered = conditions


def access_of(dataset) -> str:
    """A key of ACCESS for a row of `found`."""
    if dataset.open_url:
        return "open"
    if not dataset.offered:
        return "none"
    return "today" if dataset.offered_today else "notice"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person looks for. An empty word asks nothing."""

    q: str = ""
    domain: str = ""
    kind: str = ""
    personal: str = ""
    access: str = ""

    def admits(self, group: dict[str, Any], *, but: str = "") -> bool:
        """Whether datasets of `group` pass every filter, the one named `but` aside."""
        return (
            (but == "domain" or not self.domain or self.domain in group["domains"])
            and (but == "kind" or not self.kind or self.kind == group["kind"])
            and (but == "personal" or not self.personal or (self.personal == "yes") == group["is_personal"])
            and (but == "access" or not self.access or self.access in _access_values(group["access"]))
        )


def _access_values(access: str) -> tuple[str, ...]:
    """What a dataset of this access answers to among the filter's values."""
    return (access, "offered") if access in OFFERED else (access,)


def _with_words(q: str) -> QuerySet[Dataset]:
    """The public datasets whose texts, or whose zone's, hold every word of `q`, accents and case aside."""
    found = Dataset.objects.public()
    words = [word for word in geography.plain(q).split() if len(word) >= SHORTEST][:MOST_WORDS]
    if not words:
        return found
    # The zones first: an OR over two tables would keep the index of texts from being used.
    any_word = Q()
    for word in words:
        any_word |= Q(search_text__contains=word)
    zones = list(Zone.objects.public().filter(any_word).values_list("pk", "search_text"))
    for word in words:
        found = found.filter(Q(search_text__contains=word) | Q(zone__in=[pk for pk, text in zones if word in text]))
    return found


def with_offers(found: QuerySet[Dataset]) -> QuerySet[Dataset]:
    """The same rows, each with `offered` and `offered_today`."""
    offered = _offered(clock.now())
    return found.annotate(offered=offered.at_all, offered_today=offered.today)


def search(asked: Asked) -> QuerySet[Dataset]:
    """What is found, latest first."""
    found = _with_words(asked.q)
    if asked.access and asked.access != "open":
        found = with_offers(found)
    if asked.domain:
        found = found.filter(domains__contains=[asked.domain])
    if asked.kind:
        found = found.filter(zone__kind=asked.kind)
    if asked.personal:
        found = found.filter(is_personal=asked.personal == "yes")
    if asked.access == "open":
        found = found.exclude(open_url="")
    elif asked.access:
        found = found.filter(open_url="", offered=asked.access != "none")
        if asked.access in OFFERED:
            found = found.filter(offered_today=asked.access == "today")
    return found.order_by("-published_at", "-pk")


class Shown(Sequence):
    """What is found, whose rows are read a page at a time: the page's keys first, then these rows alone with their
    offers. Asked of all that is found at once, PostgreSQL reads every offer to answer for twenty-five datasets."""

    def __init__(self, found: QuerySet[Dataset], *related: str):
        self.found, self.related = found, related

    def __len__(self) -> int:
        return self.found.count()

    def __getitem__(self, which):
        if not isinstance(which, slice):
            return self[which : which + 1][0]
        keys = list(self.found.values_list("pk", flat=True)[which])
        rows = with_offers(Dataset.objects.filter(pk__in=keys)).select_related(*self.related).in_bulk()
        return [rows[key] for key in keys]


@dataclass(frozen=True, slots=True)
class Facets:
    """How many datasets each value of each filter would leave, the other filters kept."""

    total: int
    counts: dict[str, Counter[str]] = field(default_factory=dict)


def facets(asked: Asked) -> Facets:
    """One query: the datasets that hold the words, grouped by what the filters read; the rest is addition."""
    # Collated as bytes: ten thousand texts sorted by the rules of a language cost ten times as much.
    said = Func("domains", Value(" "), function="array_to_string", output_field=TextField())
    groups = (
        with_offers(_with_words(asked.q))
        .annotate(
            elsewhere=ExpressionWrapper(~Q(open_url=""), output_field=BooleanField()),
            said=Collate(said, "C"),
            kind=Collate("zone__kind", "C"),
        )
        .order_by()
        .values("said", "kind", "is_personal", "elsewhere", "offered", "offered_today")
        .annotate(n=Count("pk"))
    )
    total = 0
    counts: dict[str, Counter] = {name: Counter() for name in ("domain", "kind", "personal", "access")}
    group: dict[str, Any]
    for group in groups:
        group["domains"] = group["said"].split()
        group["access"] = (
            "open" if group["elsewhere"] else ("today" if group["offered_today"] else "notice")
            if group["offered"] else "none"
        )  # fmt: skip
        total += group["n"] * asked.admits(group)
        for name, values in _values(group).items():
            if asked.admits(group, but=name):
                counts[name].update(dict.fromkeys(values, group["n"]))
    return Facets(total, counts)


def _values(group: dict[str, Any]) -> dict[str, Iterable[str]]:
    return {
        "domain": group["domains"], "kind": [group["kind"]],
        "personal": ["yes" if group["is_personal"] else "no"], "access": _access_values(group["access"]),
    }  # fmt: skip


class CountedPaginator(Paginator):
    """Pages of rows that were counted already."""

    def __init__(self, rows, size: int, *, total: int):
        super().__init__(rows, size)
        self._total = total

    @cached_property
    def count(self) -> int:
        return self._total
