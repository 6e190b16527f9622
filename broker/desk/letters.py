"""Each day's checkpoint, mailed to operators, agency and auditors: whoever keeps the letter can later prove a rewrite.

A day's letters are written down with their event, then sent one by one outside any transaction: run again, only those
not yet sent leave. Days are those of the checkpoints, in real time.
"""

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Membership, Organisation, Role, User
from broker.audit import days, state
from broker.audit.actions import describe, recorded
from broker.audit.checkpoint import to_base64
from broker.desk.models import CheckpointLetter, DailyCheckpoint

LANGUAGES = ("fr", "en")  # both in one letter: a person's language is not kept
AT_ONCE = 500  # letters of one run; the next hour goes on


def readers():
    """Who gets the day's checkpoint: operators and auditors of a zone, the agency, the auditors' organisations."""
    bodies = (Organisation.Kind.AGENCY, Organisation.Kind.AUDIT)
    members = Membership.objects.current().filter(Q(organisation__kind__in=bodies) | Q(role=Role.AUDITOR))
    staff = grants.everybody_with("zones.operate") | grants.everybody_with("zones.audit")
    return User.objects.filter(is_active=True).filter(Q(pk__in=staff) | Q(pk__in=members.values("user"))).order_by("pk")


def write_of_the_day(*, by) -> DailyCheckpoint | None:
    """Write the letters of the last day that has ended, once; None when there is nothing new to tell."""
    ended = days.last_ended()
    if ended is None or ended.checkpoint is None or DailyCheckpoint.objects.filter(day__gte=ended.day).exists():
        return None
    return _write(ended, by=by)


@recorded("log.mail")
def _write(ended: days.Day, *, by) -> DailyCheckpoint:
    checkpoint = ended.checkpoint
    if checkpoint is None:
        raise ValueError(f"{ended.day} has no checkpoint to tell")
    daily = DailyCheckpoint.objects.create(day=ended.day, size=checkpoint.size)
    letters = [CheckpointLetter(daily=daily, reader=reader) for reader in readers()]
    CheckpointLetter.objects.bulk_create(letters)
    describe(
        obj=("checkpoint", str(checkpoint.size)), n=len(letters),
        detail={"day": ended.day, "size": checkpoint.size, "root": to_base64(checkpoint.root)},
    )  # fmt: skip
    return daily


def send_those_left() -> int:
    """Send the last day's letters that have not left; how many did. Raises the last refusal of the mail server, once
    every other letter was tried."""
    daily = DailyCheckpoint.objects.order_by("-day").first()
    if daily is None:
        return 0
    left = CheckpointLetter.objects.filter(daily=daily, sent_at=None, reader__is_active=True).select_related("reader")
    sent, refused = 0, None
    for letter in left.order_by("pk")[:AT_ONCE]:
        try:
            message_of(daily, to=letter.reader.email).send()
        except OSError as error:  # smtplib's errors are OSError
            refused = error
            continue
        with transaction.atomic():
            CheckpointLetter.objects.filter(pk=letter.pk).update(sent_at=clock.now())
        sent += 1
    if refused is not None:
        raise refused
    return sent


def message_of(daily: DailyCheckpoint, *, to: str) -> EmailMessage:
    """The letter: what it is, how to check it, and the signed checkpoint, in the text and as a file."""
    checkpoint, verifier = state.checkpoint(daily.size), state.verifier()
    if checkpoint is None:
        raise LookupError(f"the checkpoint of {daily.size} leaves is gone")
    context = {
        "day": daily.day, "checkpoint": checkpoint, "key": verifier, "note": checkpoint.signed,
        "compare": settings.SITE_URL + reverse("log-consistency"), "key_url": settings.SITE_URL + reverse("log-key"),
    }  # fmt: skip
    parts = []
    for language in LANGUAGES:
        with translation.override(language):
            parts.append(render_to_string("desk/email/checkpoint_message.txt", context).strip())
            if language == LANGUAGES[0]:
                subject = " ".join(render_to_string("desk/email/checkpoint_subject.txt", context).split())
    message = EmailMessage(subject, "\n\n---\n\n".join([*parts, checkpoint.signed]), to=[to])
    message.attach(f"releve-{daily.day.isoformat()}.txt", checkpoint.signed.encode(), "text/plain")
    return message
