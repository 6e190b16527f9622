"""What an answer comes to, in sentences, where the inscriptions alone would leave the sum to the reader."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker import clock
from broker.audit import merkle, search, state, tiles
from broker.desk.journal import joins, visits
from consent import rules

FOLLOWED = 200  # events of one request that are read to tell its delay


def conclude(key: str, asked: dict, query: search.Query, lines: list[dict], *, reader) -> list[str]:
    """The sentences above the inscriptions of question `key`; none for most."""
    if key == "sujet":
        return [
            _("Ce que cette personne a demandé, et ce qui lui fut répondu : oppositions, consentements, recherches de "
              "traces. Ses données n'y sont pas : une remise en contient des milliers d'autres, et le journal ne nomme "
              "personne. Où elles sont allées se demande à l'opérateur, qui seul la connaît par son numéro.")
        ]  # fmt: skip
    if key == "decision":
        return _rules_in_force(lines)
    if key == "approbation":
        return _approval(query, lines)
    if key == "preuve":
        return _proof(asked, lines, reader)
    return []


def _day(at: datetime) -> str:
    return date_format(timezone.localtime(at, clock.PARIS), "j F Y, H:i")


def _rules_in_force(lines: list[dict]) -> list[str]:
    """The rule set that the leaf names, compared with the file that is published under this name."""
    said = []
    for line in lines:
        if not line.get("rules"):
            continue
        named = line["entry"].event["policy"].removeprefix("sha256:")
        try:
            published = rules.load(line["rules"])
        except FileNotFoundError:
            said.append(_("Le jeu de règles %(version)s n'est plus publié ici.") % {"version": line["rules"]})
            continue
        facts = {"version": published.version, "day": date_format(published.effective_from, "j F Y"), "sha": named[:16]}
        if published.sha256 == named:
            said.append(
                _("Règles %(version)s, en vigueur depuis le %(day)s ; l'empreinte inscrite (%(sha)s…) est celle du "
                  "texte publié.") % facts
            )  # fmt: skip
        else:
            said.append(
                _("L'empreinte inscrite (%(sha)s…) n'est pas celle du texte publié des règles %(version)s.") % facts
            )
    return said


def _approval(query: search.Query, lines: list[dict]) -> list[str]:
    """Who answered the request, and how long after it was lodged."""
    told = {line["entry"].leaf_index: f"{line['who']} {line['did']}" for line in lines}
    events = [
        (entry.leaf_index, entry.event, datetime.fromisoformat(entry.event["at"]))
        for entry in search.ascending(query, below=search.length(), most=FOLLOWED)
        if entry.event and entry.event["v"] == 1 and entry.event["out"] == "allow"
    ]
    said = []
    for place, event, at in events:
        for request, answers in joins.ANSWERS.items():
            if event["act"] not in answers or request == "countersign.first":
                continue
            lodged = [when for _place, other, when in events if other["act"] == request]
            if lodged:  # an answer given at once is written just before the request that it answers
                since = max((when for when in lodged if when <= at), default=min(lodged))
                who = told.get(place, f"{event['actor']['id']} {event['act']}")
                facts = {"told": who, "day": _day(at), "delay": _delay(at - min(since, at))}
                said.append(_("%(told)s le %(day)s, %(delay)s après le dépôt.") % facts)
    return said


def _delay(passed) -> str:
    if passed.days:
        return ngettext("%d jour", "%d jours", passed.days) % passed.days
    if passed.seconds >= 3600:
        return ngettext("%d heure", "%d heures", passed.seconds // 3600) % (passed.seconds // 3600)
    if passed.seconds >= 60:
        return ngettext("%d minute", "%d minutes", passed.seconds // 60) % (passed.seconds // 60)
    return _("moins d'une minute")


def _proof(asked: dict, lines: list[dict], reader) -> list[str]:
    """Since when the inscription is signed, and whether today's log goes on from the one that the reader saw by the
    day asked (or, if they had not come yet, from the one that was published by then).

    Both are recomputed here from the tree; what is said is said only once it verified."""
    last = state.checkpoint()
    if not lines or last is None:
        return []
    entry = lines[0]["entry"]
    first = state.first_holding(entry.leaf_index)
    if first is None:
        return [_("Cette inscription attend le prochain relevé signé : réessayez dans un instant.")]
    node = tiles.node_reader(state.read_tile)
    said = []
    try:
        path = merkle.inclusion_path(entry.leaf_index, last.size, node)
        leaf = merkle.leaf_hash(entry.payload.encode())
        merkle.verify_inclusion(leaf, entry.leaf_index, last.size, path, last.root)
        said.append(
            _("L'inscription n° %(index)s est dans le journal depuis le relevé du %(day)s (%(size)s inscriptions).")
            % {"index": entry.leaf_index, "day": _day(first.published_at), "size": first.size}
        )
    except (merkle.InvalidProof, LookupError):
        said.append(
            _("L'inscription n° %(index)s ne se prouve pas : le journal a été altéré.") % {"index": entry.leaf_index}
        )
    if asked.get("since") is None:
        return said
    end_of_day = datetime.combine(asked["since"], datetime.max.time(), tzinfo=clock.PARIS)
    kept = visits.seen_by(reader, asked["since"]) or state.checkpoint_on(end_of_day)
    day = date_format(asked["since"], "j F Y")
    if kept is None:
        return [*said, _("Aucun relevé n'était encore signé le %(day)s.") % {"day": day}]
    facts = {"index": entry.leaf_index, "day": day, "size": kept.size}
    said.append(
        _("Elle était déjà dans le relevé du %(day)s (%(size)s inscriptions).") % facts
        if entry.leaf_index < kept.size
        else _("Elle n'était pas encore dans le relevé du %(day)s (%(size)s inscriptions).") % facts
    )
    try:
        if kept.size > last.size:
            raise merkle.InvalidProof("the log has shrunk")
        path = merkle.consistency_path(kept.size, last.size, node)
        merkle.verify_consistency(kept.size, last.size, path, kept.root, last.root)
        said.append(_("Le journal d'aujourd'hui prolonge celui du %(day)s, sans rien y changer.") % facts)
    except (merkle.InvalidProof, LookupError):
        said.append(_("Le journal d'aujourd'hui ne prolonge pas celui du %(day)s : il a été altéré.") % facts)
    return said
