"""What the log alone does not say: conditions that join its index with the conventions, the decisions and the releases.

Each is SQL about `i`, a row of audit_index (see `broker.audit.search.Condition`). A day is one of Europe/Paris, and a
convention's last day is included, as everywhere. The state of a convention at a moment is what the log itself told
last before it; its dates are those that were signed.
"""

from datetime import date

import holidays

from broker import clock
from broker.audit.search import Condition, Floor

STATES = (
    "convention.activate", "convention.resume", "convention.suspend", "convention.terminate", "convention.expire",
    "convention.close", "convention.lapse",
)  # fmt: skip
OPENING = ("convention.activate", "convention.resume")
ENDING = ("convention.terminate", "convention.expire", "convention.close", "convention.lapse")

REF = "split_part(substr(i.conv, 4), '@', 1)"  # cv:AB-2026-0001@2
DAY = "(i.at AT TIME ZONE 'Europe/Paris')::date"
EVENT = "(e.generation, e.xid, e.id) = (i.generation, i.xid, i.event_id)"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

NO_VALID_CONVENTION = Condition(
    f"""NOT EXISTS (
        SELECT FROM consent_convention c
        WHERE c.ref = {REF}
          AND {DAY} BETWEEN c.starts_on AND least(c.ends_on, coalesce(c.terminates_on, c.ends_on))
          AND (SELECT s.act FROM audit_index s
               WHERE s.obj = 'convention:' || c.ref AND s.act = ANY(%s) AND s.out = 'allow'
                 AND s.leaf_index < i.leaf_index ORDER BY s.leaf_index DESC LIMIT 1) = ANY(%s))""",
    (list(STATES), list(OPENING)),
)

AFTER_THE_END = Condition(
    f"""EXISTS (
        SELECT FROM consent_convention c
        WHERE c.ref = {REF}
          AND ({DAY} > least(c.ends_on, coalesce(c.terminates_on, c.ends_on))
               OR EXISTS (SELECT FROM audit_index s
                          WHERE s.obj = 'convention:' || c.ref AND s.act = ANY(%s) AND s.out = 'allow'
                            AND s.leaf_index < i.leaf_index)))""",
    (list(ENDING),),
)

# The kind of purpose that the leaf names against the one that was signed; then what the gate said of the very request:
# refused by a rule on purposes (G06 experimentation only, G07 prohibited, G08 not in the convention), or let through
# with another code than the convention's.
OTHER_PURPOSE = Condition(
    f"""(i.out = 'allow' AND i.conv <> '' AND i.purp <> ''
         AND i.purp IS DISTINCT FROM (SELECT c.purpose_kind FROM consent_convention c WHERE c.ref = {REF}))
        OR CASE WHEN i.obj ~ %s THEN EXISTS (
            SELECT FROM consent_gatedecision d LEFT JOIN consent_convention c ON c.id = d.convention_id
            WHERE d.id = substr(i.obj, 14)::uuid
              AND (EXISTS (SELECT FROM jsonb_array_elements(d.reasons) r
                           WHERE r ->> 'rule' = ANY(%s) AND r ->> 'effect' = ANY(%s))
                   OR d.effect <> 'deny' AND d."case" #>> '{{request,purpose_code}}' <> c.purpose_code))
        ELSE false END""",
    (f"^gatedecision:{UUID}$", ["G06", "G07", "G08"], ["deny", "indeterminate"]),
)


def more_rows_than(rows: int) -> Condition:
    """A leaf that counts more rows, or is about a release that does."""
    return Condition(
        f"""coalesce((SELECT (e.payload::json ->> 'n')::bigint FROM audit_event e WHERE {EVENT}),
                     CASE WHEN i.obj ~ %s
                          THEN (SELECT r.rows_out FROM releases_release r WHERE r.id = substr(i.obj, 9)::uuid) END)
            > %s""",
        (f"^release:{UUID}$", rows),
    )


# What asks -> what answers it, about one object.
ANSWERS = {
    "application.submit": ("application.approve", "application.refuse"),
    "licence.request": ("licence.answer",),
    "offer.submit": ("offer.publish",),
    "opposition.request": ("opposition.confirm", "opposition.dismiss"),
    "person.name": ("person.confirm",),
    "registry.submit": ("registry.accredit", "registry.refuse"),
    "zone.propose": ("zone.open",),
    "zone.propose_closing": ("zone.close",),
    "countersign.first": ("countersign.second",),
}
PAIRS = [(asked, answered) for asked, several in ANSWERS.items() for answered in several]

# One person has a token a year: two tokens of one reference are one person. What the system does is nobody's interest.
# Within one transaction the inner verb is written first: an answer given at once stands before what it answers.
SAME_ACTOR = Condition(
    """EXISTS (
        SELECT FROM unnest(%s::text[], %s::text[]) AS pair(asked, answered)
        JOIN audit_index q ON q.act = pair.asked
        LEFT JOIN audit_subject_key k ON k.pseudonym = i.actor
        LEFT JOIN audit_subject_key l ON l.pseudonym = q.actor
        WHERE pair.answered = i.act AND q.obj = i.obj AND q.out = 'allow'
          AND (q.leaf_index < i.leaf_index OR q.xid = i.xid)
          AND (q.actor = i.actor OR l.subject_ref = k.subject_ref)
          AND coalesce(k.subject_ref, '') NOT LIKE 'service:%%')""",
    ([asked for asked, _ in PAIRS], [answered for _, answered in PAIRS]),
)

OPENS, CLOSES = 7, 20  # hours of a working day, in Paris


def unusual(today: date) -> Condition:
    """A person at night, on a Saturday, a Sunday or a public holiday; or from a network where the log, as far back as
    is looked at, had never seen them while it knew them elsewhere."""
    closed = holidays.country_holidays("FR", years=range(today.year - 5, today.year + 1))
    return Condition(
        f"""(EXISTS (SELECT FROM audit_event e
                     WHERE {EVENT} AND e.payload::json #>> '{{actor,kind}}' IN ('person', 'auditor'))
             AND (extract(isodow FROM i.at AT TIME ZONE 'Europe/Paris') > 5
                  OR extract(hour FROM i.at AT TIME ZONE 'Europe/Paris') NOT BETWEEN %s AND %s
                  OR {DAY} = ANY(%s)))
            OR i.leaf_index IN (
                SELECT leaf_index FROM (
                    SELECT leaf_index, row_number() OVER (PARTITION BY who, ip ORDER BY leaf_index) AS here,
                           row_number() OVER (PARTITION BY who ORDER BY leaf_index) AS anywhere
                    FROM (SELECT n.leaf_index, coalesce(k.subject_ref, encode(n.actor, 'hex')) AS who,
                                 e.payload::json ->> 'ip' AS ip, e.payload::json #>> '{{actor,kind}}' AS kind
                          FROM audit_index n
                          JOIN audit_event e ON (e.generation, e.xid, e.id) = (n.generation, n.xid, n.event_id)
                          LEFT JOIN audit_subject_key k ON k.pseudonym = n.actor
                          WHERE n.actor IS NOT NULL AND n.leaf_index >= %s) AS moves
                    WHERE ip <> '' AND kind IN ('person', 'auditor')) AS places
                WHERE here = 1 AND anywhere > 1)""",
        (OPENS, CLOSES - 1, sorted(closed), Floor),
    )


def unusual_now() -> Condition:
    return unusual(clock.today())
