"""What auditors ask: the fifteen questions of the design, each saved with the fields that it needs."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any

from django.utils.translation import gettext_lazy

from broker import clock
from broker.accounts.models import User
from broker.audit import search
from broker.desk.journal import joins, phrases
from broker.desk.journal.telling import CONVENTION
from broker.releases.models import Release
from consent.models import Consent, ConsentWithdrawal, Convention, Opposition
from zones.models import Dataset, DatasetVersion

TOKEN = re.compile(r"p:[0-9a-f]{32}")
UUID = re.compile(joins.UUID, re.IGNORECASE)
MOST = 2_000  # objects of one dataset that a question names


@dataclass(frozen=True, slots=True)
class Question:
    """`number` is the design's, 0 for the whole log; `needs` are the fields without which it means nothing."""

    key: str
    number: int
    title: Any
    help: Any
    build: Callable[[search.Query, dict], search.Query]
    needs: tuple[str, ...] = ()


def narrowed(query: search.Query, **wanted: tuple[str, ...]) -> search.Query:
    """`query` limited to these words of a column, within those that it already asks."""
    kept = {
        name: words if (asked := getattr(query, name)) is None else tuple(w for w in words if w in asked)
        for name, words in wanted.items()
    }
    return replace(query, **kept)


def accesses(query: search.Query) -> search.Query:
    """`query` limited to accesses to data."""
    return narrowed(query, act=phrases.ACCESSES)


def _as_asked(query, asked):
    return query


def _subject(query, asked):
    subs, objects = subject_of(asked["subject"].strip())
    return replace(query, either=(search.Query(sub=subs), search.Query(obj=objects)))


def _without_convention(query, asked):
    return replace(narrowed(query, act=phrases.RELEASED, out=("allow",)), also=(joins.NO_VALID_CONVENTION,))


def _other_purpose(query, asked):
    return replace(narrowed(query, act=phrases.ACCESSES), also=(joins.OTHER_PURPOSE,))


def _under(query, asked):
    """What was done under a convention, as a month's report counts it: not what is only about it."""
    return replace(query, about=None, conv=tuple(one for one in query.about if one.startswith("cv:")))


def _large(query, asked):
    return replace(narrowed(query, act=phrases.EXPORTED, out=("allow",)), also=(joins.more_rows_than(asked["rows"]),))


def _file(query, asked):
    """The events about one request, and the signatures that two persons put under its answer."""
    references = files_of(asked["object"])
    return replace(query, obj=None, about=(*references, *(f"countersign:{one}" for one in references)))


def _after_the_end(query, asked):
    return replace(accesses(query), also=(joins.AFTER_THE_END,))


def _same_actor(query, asked):
    acts = tuple(sorted({answered for _asked, answered in joins.PAIRS}))
    return replace(narrowed(query, act=acts, out=("allow",)), also=(joins.SAME_ACTOR,))


def _unusual(query, asked):
    return replace(query, also=(joins.unusual_now(),))


def _entry(query, asked):
    """One inscription, by its place or by its number."""
    wanted = asked["entry"].strip()
    if wanted.isascii() and wanted.isdecimal():
        return replace(query, since=None, only=int(wanted))
    return replace(query, since=None, ulid=wanted.upper())


QUESTIONS = (
    Question("", 0, gettext_lazy("Tout le journal"), gettext_lazy("Les inscriptions les plus récentes d'abord."),
             _as_asked),
    Question("sous-convention", 0, gettext_lazy("Ce qui s'est fait sous cette convention"),
             gettext_lazy("Les actes accomplis sous elle : une ligne du rapport d'un mois."), _under, ("convention",)),
    Question("acces", 1, gettext_lazy("Qui a accédé à ce jeu de données ?"),
             gettext_lazy("Décisions, remises et téléchargements d'un jeu, sur une période."),
             lambda query, asked: accesses(query), ("dataset",)),
    Question("personne", 2, gettext_lazy("Tout ce que cette personne a fait"),
             gettext_lazy("Par son adresse électronique, ou par le jeton qu'une inscription lui donne."), _as_asked,
             ("person",)),
    Question("sujet", 3, gettext_lazy("Tout ce qui touche ce patient, cet usager ou ce foyer"),
             gettext_lazy("Par un récépissé, une recherche de traces, ou le jeton qu'une inscription lui donne."),
             _subject, ("subject",)),
    Question("refus", 4, gettext_lazy("Tous les refus, et pourquoi"),
             gettext_lazy("Chaque refus avec les règles qui l'ont motivé."),
             lambda query, asked: narrowed(query, out=("deny", "error"))),
    Question("sans-convention", 5, gettext_lazy("Des remises sans convention valable à ce moment ?"),
             gettext_lazy("Demandée, prête ou téléchargée hors des jours signés, ou pendant une suspension."),
             _without_convention),
    Question("finalite", 6, gettext_lazy("Des accès hors de la finalité déclarée ?"),
             gettext_lazy("Permis pour une autre finalité que la signée, ou refusés par une règle sur les finalités."),
             _other_purpose),
    Question("volumes", 7, gettext_lazy("Quelles remises dépassent ce nombre de lignes ?"),
             gettext_lazy("Préparées ou téléchargées."), _large, ("rows",)),
    Question("administration", 8, gettext_lazy("Actes d'administration et d'urgence"),
             gettext_lazy("Rôles donnés ou retirés, coupe-circuits, clés, horloge. Personne ne force la barrière."),
             lambda query, asked: narrowed(query, act=phrases.ADMINISTRATION)),
    Question("decision", 9, gettext_lazy("Quelles règles s'appliquaient à cette décision ?"),
             gettext_lazy("La décision et l'empreinte du jeu de règles alors en vigueur."),
             lambda query, asked: narrowed(query, act=("gate.decide",)), ("decision",)),
    Question("approbation", 10, gettext_lazy("Qui a approuvé cette demande, et en combien de temps ?"),
             gettext_lazy("Par la référence de la convention, ou par l'objet : application:12, registryentry:3."),
             _file, ("object",)),
    Question("apres-la-fin", 11, gettext_lazy("Des accès après la fin d'une convention ?"),
             gettext_lazy("Permis ou refusés, après le dernier jour ou après la résiliation."), _after_the_end),
    Question("lectures", 12, gettext_lazy("Qui a cherché dans le journal ?"),
             gettext_lazy("Recherches, lectures, dossiers emportés, preuves."),
             lambda query, asked: narrowed(query, act=phrases.READINGS)),
    Question("meme-personne", 13, gettext_lazy("Quelqu'un a-t-il répondu à sa propre demande ?"),
             gettext_lazy("La même personne demande et approuve, propose et ouvre, désigne et confirme."),
             _same_actor),
    Question("inhabituel", 14, gettext_lazy("Quoi d'inhabituel, heures ou réseaux ?"),
             gettext_lazy("La nuit, le samedi, le dimanche, un jour férié ; ou d'un réseau nouveau pour la personne."),
             _unusual),
    Question("preuve", 15, gettext_lazy("Cette inscription y est-elle depuis ce jour, et rien n'a-t-il changé ?"),
             gettext_lazy("Par sa place ou son numéro, et par le jour de votre relevé."), _entry, ("entry",)),
)  # fmt: skip
BY_KEY = {question.key: question for question in QUESTIONS}


def build(asked: dict[str, Any]) -> search.Query:
    """The query behind the cleaned fields of the form."""
    query = search.Query()
    if asked.get("person"):
        query = replace(query, actor=actors_of(asked["person"]))
    if asked.get("dataset"):
        query = replace(query, about=references_of(asked["dataset"]))
    if asked.get("convention"):
        query = replace(query, about=conventions(Convention.objects.filter(ref=asked["convention"])))
    if asked.get("organisation"):
        wanted = asked["organisation"].strip().removeprefix("org:")
        query = replace(query, org=(f"org:{wanted}",))
    if asked.get("zone"):
        query = replace(query, zone=(asked["zone"].reference,))
    if asked.get("object"):
        query = replace(query, obj=objects_of(asked["object"]))
    if asked.get("act"):
        query = replace(query, act=(asked["act"],))
    if asked.get("purpose"):
        query = replace(query, purp=(asked["purpose"],))
    if asked.get("out"):
        query = replace(query, out=(asked["out"],))
    if asked.get("decision"):
        query = replace(query, obj=(f"gatedecision:{asked['decision']}",))
    if asked.get("since"):
        query = replace(query, since=_midnight(asked["since"]))
    if asked.get("until"):
        query = replace(query, until=_midnight(asked["until"] + timedelta(days=1)))
    return BY_KEY[asked.get("question") or ""].build(query, asked)


def _midnight(day) -> datetime:
    return datetime.combine(day, time(), tzinfo=clock.PARIS)


def actors_of(text: str) -> tuple[bytes, ...]:
    """The tokens of a person by their address, or of whoever holds the token "p:…" that a leaf shows."""
    if TOKEN.fullmatch(text):
        reference = search.references_of([text]).get(text)
        return search.tokens_of(reference) if reference else (bytes.fromhex(text[2:]),)
    person = User.objects.filter(email__iexact=text).first()
    return search.tokens_of(f"user:{person.pk}") if person else ()


def objects_of(text: str) -> tuple[str, ...]:
    """How the log may name an object: "release:…" as a leaf writes it, or an identifier alone, of any kind."""
    return (text,) if ":" in text else tuple(f"{kind}:{text}" for kind in phrases.OBJECTS)


def files_of(text: str) -> tuple[str, ...]:
    """A request by its own name, or by the reference of the convention that it became."""
    if not CONVENTION.fullmatch(text):
        return objects_of(text)
    numbers = Convention.objects.filter(ref=text).values_list("application_id", flat=True)
    return tuple(f"application:{number}" for number in numbers)


def subject_of(text: str) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """(pseudonyms, objects) of the subject of a receipt, of an inquiry, or of the token "p:…" that a leaf shows.

    The receipts under one pseudonym, and the pseudonyms of one receipt, are those of one person, year after year: the
    log's erasable table says so. A receipt that was written before events named their subject is found by its row."""
    if TOKEN.fullmatch(text):
        subs, objects = (bytes.fromhex(text[2:]),), ()
    else:
        objects = (f"inquiry:{text.lower()}",) if UUID.fullmatch(text) else receipts_of(text.upper())
        subs = search.subs_about(objects)
    subs = search.pseudonyms_of(subs)
    return subs, tuple(sorted({*objects, *search.objects_concerning(subs, most=MOST)}))


def receipts_of(receipt: str) -> tuple[str, ...]:
    """What the log says of one subject: every receipt, of objection or of consent, under the token of this one.

    The receipt of an import is many people's: it leads to itself alone."""
    kinds = {"opposition": (Opposition.objects,), "consent": (Consent.objects, ConsentWithdrawal.objects)}
    found = {f"{kind}:{receipt}" for kind in kinds}
    for rows in (Opposition.objects, Consent.objects.filter(imported=None), ConsentWithdrawal.objects):
        for zone, token in rows.filter(receipt=receipt).values_list("zone_id", "token")[:1]:
            for kind, several in kinds.items():
                for others in several:
                    same = others.filter(zone_id=zone, token=token).values_list("receipt", flat=True)
                    found |= {f"{kind}:{one}" for one in same[:MOST]}
    return tuple(sorted(found))


def conventions(rows) -> tuple[str, ...]:
    """How the log names these conventions, in each of their versions."""
    named = []
    for ref, version in rows.values_list("ref", "version")[:MOST]:
        named += [f"convention:{ref}", *(f"cv:{ref}@{v}" for v in range(1, version + 1))]
    return tuple(named)


def references_of(dataset: Dataset) -> tuple[str, ...]:
    """Everything by which the log may name an access to `dataset`: itself, its versions, conventions, releases."""
    versions = DatasetVersion.objects.filter(dataset=dataset)
    releases = Release.objects.filter(dataset_version__in=versions)
    return (
        f"dataset:{dataset.pk}",
        *(f"datasetversion:{pk}" for pk in versions.values_list("pk", flat=True)[:MOST]),
        *conventions(Convention.objects.filter(offer__dataset=dataset)),
        *(f"release:{pk}" for pk in releases.values_list("pk", flat=True)[:MOST]),
    )
