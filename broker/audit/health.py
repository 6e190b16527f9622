"""How the log is, for those who keep it and those who watch them: figures, what is wrong, and what to do about it.

Times are real ones: the demo's clock jumps, what is late does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker import clock
from broker.audit import outside, partitions, state, witnesses
from broker.audit.sequencer import LOCK

ALARM_SECONDS = 10  # of lag
REFUSED_SECONDS = 60  # of lag: releases of personal data are refused (G42)
UNSIGNED = timedelta(seconds=60)
VERIFIED_EVERY = timedelta(hours=24)
STAMPED_EVERY = timedelta(hours=2)
AHEAD = 2  # whole months that must be there
IDLE_LIMIT = "idle_in_transaction_session_timeout=30s"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, in words; `is_grave` when nothing should wait for it to be mended."""

    code: str
    what: str
    mend: str
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    size: int  # leaves in the tree
    bytes_on_disk: int
    lag: float  # seconds
    signed_size: int
    signed_at: datetime | None
    stamped_at: datetime | None
    verified_at: datetime | None
    verified_size: int
    unwitnessed_since: datetime | None
    witnesses: int
    partitions_ahead: int
    unparsed: int
    unparsed_first: int | None  # place of the first leaf that cannot be read
    duties: Mapping[str, outside.Standing]
    troubles: tuple[Trouble, ...]


FACTS = """
    SELECT s.size, s.cluster IS NOT NULL AND s.cluster <> (SELECT system_identifier::text FROM pg_control_system()),
        (SELECT sum(pg_total_relation_size(relid)) FROM
            (SELECT relid FROM pg_partition_tree('audit_event') UNION SELECT relid FROM pg_partition_tree('audit_index')
             UNION SELECT 'audit_tile'::regclass UNION SELECT 'audit_detail'::regclass) AS parts)::bigint,
        EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
        (SELECT count(*) FROM audit_index WHERE act = 'unparsed'),
        (SELECT min(leaf_index) FROM audit_index WHERE act = 'unparsed'),
        current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off',
        ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname IN ('terrain_app', 'terrain_seq', 'terrain_auditor')
              AND NOT coalesce(rolconfig, '{}') @> ARRAY[%s] ORDER BY 1)
    FROM audit_sequencer s
"""
OPEN = """
    SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::int FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '5 seconds'
      AND backend_type = 'client backend' ORDER BY xact_start LIMIT 3
"""


def look() -> Health:
    """How the log is, at this moment. The whole log is recomputed elsewhere, by the sequencer's process."""
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [LOCK, IDLE_LIMIT])
        size, is_elsewhere, on_disk, is_sequenced, unparsed, first_unparsed, is_durable, unlimited = cursor.fetchone()
        cursor.execute(OPEN)
        opened = cursor.fetchall()
        parts = partitions.look(cursor, clock.today())
    standing, lag, duties, now = state.standing(), state.lag(), outside.standing(), clock.real_now()
    cosigners = witnesses.standing()
    blind = [one.unwitnessed_since for one in cosigners if one.unwitnessed_since]
    troubles = [
        *_tree(standing, size, lag, is_sequenced, opened, now),
        *_elsewhere(duties, cosigners, standing, now),
        *_base(parts, is_elsewhere, is_durable, unlimited),
    ]
    if unparsed:
        troubles.append(
            Trouble(
                "unparsed",
                ngettext("%(n)s inscription est illisible, à la place %(place)s.",
                         "%(n)s inscriptions sont illisibles, la première à la place %(place)s.", unparsed)
                % {"n": unparsed, "place": first_unparsed},
                _("Elles restent dans l'arbre, octet pour octet. Cherchez quel programme a écrit dans audit_event sans "
                  "passer par l'application, et changez le mot de passe de terrain_app."),
            )
        )  # fmt: skip
    return Health(
        size=size, bytes_on_disk=on_disk, lag=lag,
        signed_size=standing.size if standing else 0,
        signed_at=standing.checkpoint.published_at if standing else None,
        stamped_at=standing.stamped_at if standing else None,
        verified_at=standing.verified_at if standing else None,
        verified_size=standing.verified_size if standing else 0,
        unwitnessed_since=min(blind) if cosigners and len(blind) == len(cosigners) else None,
        witnesses=len(cosigners), partitions_ahead=parts.ahead,
        unparsed=unparsed, unparsed_first=first_unparsed, duties=duties, troubles=tuple(troubles),
    )  # fmt: skip


def _tree(standing, size: int, lag: float, is_sequenced: bool, opened: list, now: datetime) -> list[Trouble]:
    found = []
    if not is_sequenced:
        found.append(
            Trouble(
                "sequencer",
                _("Le séquenceur ne tourne pas : les inscriptions attendent leur place."),
                _("Démarrez-le (systemctl start terrain-sequencer). S'il refuse, son journal dit pourquoi : lisez-le "
                  "(journalctl -u terrain-sequencer)."),
                is_grave=True,
            )
        )  # fmt: skip
    if lag > ALARM_SECONDS:
        told = ", ".join(f"{pid} ({seconds} s)" for pid, seconds in opened) or "—"
        found.append(
            Trouble(
                "lag",
                _("Le journal a %(n)s s de retard ; au-delà de 60 s, les remises de données personnelles sont "
                  "refusées.")
                % {"n": round(lag)},
                _("Une transaction reste ouverte : trouvez-la dans pg_stat_activity (backend_xmin) et terminez-la "
                  "(pg_terminate_backend). Vues d'ici, processus et âge : %(told)s.") % {"told": told},
                is_grave=lag > REFUSED_SECONDS,
            )
        )  # fmt: skip
    if standing is None:
        found.append(
            Trouble(
                "unsigned",
                _("Le journal n'a encore aucun relevé signé."),
                _("Démarrez le signataire, puis le séquenceur (terrain-signer, terrain-sequencer)."),
                is_grave=True,
            )
        )
        return found
    if size > standing.size and now - standing.checkpoint.published_at > UNSIGNED:
        found.append(
            Trouble(
                "unsigned",
                _("%(n)s inscriptions attendent une signature depuis plus d'une minute.") % {"n": size - standing.size},
                _("Le signataire ne répond pas : redémarrez terrain-signer ; vérifiez que sa clé et sa mémoire sont "
                  "dans le même dossier."),
                is_grave=True,
            )
        )  # fmt: skip
    found += [
        Trouble(
            "altered",
            _("Le journal ne se vérifie pas : %(problem)s.") % {"problem": problem},
            _("Ne touchez à rien : copiez la base, prenez un dossier du journal gardé dehors, et prévenez l'agence et "
              "les auditeurs. Ceux qui gardent un relevé diront depuis quand."),
            is_grave=True,
        )
        for problem in standing.problems
    ]  # fmt: skip
    if standing.verified_at is None or now - standing.verified_at > VERIFIED_EVERY:
        found.append(
            Trouble(
                "unverified",
                _("Le journal n'a pas été recalculé en entier depuis un jour."),
                _("Le séquenceur le fait de lui-même : voyez son journal, ou lancez « manage.py audit_verify »."),
            )
        )
    return found


def _elsewhere(
    duties: Mapping[str, outside.Standing], cosigners: list[witnesses.Cosigner], standing, now: datetime
) -> list[Trouble]:
    """Time stamps, witnesses, bundles: the log goes on without them, and says since when."""
    found = []
    for name, duty in duties.items():
        if duty.failing_since is None or name.startswith(outside.WITNESS):
            continue
        if name == outside.STAMP:
            what = _("Aucun horodatage par un tiers depuis le %(at)s : %(problem)s")
            mend = _("Vérifiez l'adresse TERRAIN_TSA_URL et son certificat, ou prenez une autre autorité.")
        else:
            what = _("« %(name)s » n'est plus fait depuis le %(at)s : %(problem)s")
            mend = _("Lisez la cause, corrigez-la ; le séquenceur réessaie de lui-même.")
        told = {"name": name, "at": _day(duty.failing_since), "problem": duty.problem}
        found.append(Trouble(f"outside.{name}", what % told, mend))
    found += [
        Trouble(
            f"outside.{outside.WITNESS}{one.name}",
            _("Le témoin %(name)s ne contresigne plus depuis le %(at)s : %(problem)s")
            % {"name": one.name, "at": _day(one.unwitnessed_since), "problem": one.problem or "—"},
            _("Appelez ce partenaire : son témoin est arrêté, ou garde un relevé que le nôtre ne prolonge pas."),
        )
        for one in cosigners if one.unwitnessed_since
    ]  # fmt: skip
    if not settings.TSA_URL:
        found.append(
            Trouble(
                "no_stamp",
                _(
                    "Aucune autorité d'horodatage n'est réglée : seuls les relevés gardés par d'autres datent le "
                    "journal."
                ),
                _("Donnez une adresse à TERRAIN_TSA_URL, puis redémarrez le séquenceur."),
            )
        )
    elif standing and outside.STAMP not in duties and now - standing.since > STAMPED_EVERY:
        found.append(
            Trouble(
                "no_stamp",
                _("Aucun horodatage n'a encore été demandé."),
                _("Redémarrez le séquenceur : il le demande chaque heure."),
            )
        )
    if not cosigners:
        found.append(
            Trouble(
                "no_witness",
                _("Aucun témoin ne contresigne le journal."),
                _("Demandez à un organisme partenaire de tenir un témoin, puis nommez-le dans TERRAIN_WITNESSES."),
            )
        )
    return found


def _day(at: datetime) -> str:
    return at.astimezone(clock.PARIS).strftime("%d/%m/%Y %H:%M")


def _base(parts: partitions.Partitions, is_elsewhere: bool, is_durable: bool, unlimited: list[str]) -> list[Trouble]:
    """The database under the log."""
    found = []
    if parts.unguarded:
        found.append(
            Trouble(
                "unguarded",
                _("Sans garde : %(tables)s. On peut y changer une inscription.")
                % {"tables": ", ".join(parts.unguarded)},
                _("Quelqu'un a agi comme propriétaire de la base. Remettez le déclencheur audit_event_append_only, "
                  "puis lancez « manage.py audit_verify »."),
                is_grave=True,
            )
        )  # fmt: skip
    if parts.ahead < AHEAD:
        found.append(
            Trouble(
                "partitions",
                ngettext("%(n)s mois d'avance seulement dans le rangement du journal.",
                         "%(n)s mois d’avance seulement dans le rangement du journal.", parts.ahead)
                % {"n": parts.ahead},
                _("Rien n'est perdu : une table de réserve prend le reste. Lancez « manage.py audit_partitions »."),
            )
        )  # fmt: skip
    if is_elsewhere:
        found.append(
            Trouble(
                "cluster",
                _("Cette base a été restaurée ailleurs : ses nouvelles inscriptions n'auraient pas de place."),
                _("Arrêtez le site, puis lancez « manage.py audit_restore » comme terrain_owner."),
                is_grave=True,
            )
        )
    if not is_durable:
        found.append(
            Trouble(
                "durability",
                _("La base n'écrit pas sur le disque à chaque inscription (fsync, synchronous_commit)."),
                _("Remettez fsync = on et synchronous_commit = on dans postgresql.conf, puis rechargez-la."),
                is_grave=True,
            )
        )
    if unlimited:
        found.append(
            Trouble(
                "idle_limit",
                _("Une transaction oubliée ne serait pas coupée à 30 s pour : %(roles)s.")
                % {"roles": ", ".join(unlimited)},
                _("Passez deploy/roles.sql sur cette base, comme administrateur."),
            )
        )
    return found
