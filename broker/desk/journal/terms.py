"""What the log keeps beside its leaves, and when its time is over (legal-gate, section 11).

Details go five years after the end of the convention they are about, ten years after an event without one. A person's
tokens can be resolved for three years: after the year they served, and after the end of every convention of theirs.
The pseudonym under which a subject said no, agreed or asked goes three years after its year.
The platform itself erases, by night, at the term; before it two persons do (`keeping`), and what a hold keeps stays.
"""

from datetime import date
from itertools import groupby

from django.db import connection

from broker import clock
from broker.audit import erasing
from broker.audit.actor import SYSTEM

DETAILS_YEARS, DETAILS_WITHOUT_CONVENTION_YEARS, TOKENS_YEARS = 5, 10, 3
TERM = "durée de conservation atteinte"

DETAILS_DUE = """
    SELECT d.event_id FROM audit_detail d JOIN audit_index i ON i.event_id = d.event_id
    LEFT JOIN consent_convention c ON i.conv <> '' AND c.ref = split_part(substr(i.conv, 4), '@', 1)
    WHERE i.at < %(today)s::date - make_interval(years => CASE WHEN c.id IS NULL THEN %(alone)s ELSE %(bound)s END)
      AND (c.id IS NULL OR least(c.ends_on, c.terminates_on) < %(today)s::date - make_interval(years => %(bound)s))
      AND NOT EXISTS (SELECT FROM desk_loghold h
                      WHERE h.event_id = d.event_id AND h.lifted_at IS NULL AND h.until >= %(today)s::date)
    ORDER BY d.event_id LIMIT %(most)s
"""
TOKENS_DUE = """
    SELECT k.period, k.subject_ref FROM audit_subject_key k
    WHERE k.subject_ref ~ '^(user:[0-9]+$|subject:)' AND k.period::int < extract(year FROM %(today)s::date) - %(years)s
      AND CASE WHEN k.subject_ref LIKE 'subject:%%' THEN true ELSE NOT EXISTS (
        SELECT FROM consent_convention c
        WHERE least(c.ends_on, c.terminates_on) >= %(today)s::date - make_interval(years => %(years)s)
          AND (c.organisation_id IN (SELECT organisation_id FROM accounts_membership m
                                     WHERE m.user_id = substr(k.subject_ref, 6)::bigint)
               OR c.id IN (SELECT convention_id FROM consent_namedperson n
                           WHERE n.user_id = substr(k.subject_ref, 6)::bigint))) END
    ORDER BY k.period, k.subject_ref LIMIT %(most)s
"""


def erase_due() -> tuple[int, int]:
    """Erase what is past its term: (details, tokens). A bounded number a night; the next one goes on."""
    asked: dict[str, date | int] = {
        "today": clock.today(), "alone": DETAILS_WITHOUT_CONVENTION_YEARS, "bound": DETAILS_YEARS,
        "years": TOKENS_YEARS, "most": erasing.MOST,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(DETAILS_DUE, asked)
        details = [number for (number,) in cursor.fetchall()]
        cursor.execute(TOKENS_DUE, asked)
        tokens = cursor.fetchall()
    erased = erasing.erase_details(details, by=SYSTEM, why=TERM) if details else 0
    forgotten = 0
    for period, rows in groupby(tokens, key=lambda row: row[0]):
        forgotten += erasing.erase_tokens([ref for _period, ref in rows], by=SYSTEM, why=TERM, period=period)
    return erased, forgotten
