"""Jobs of the desk."""

from procrastinate.contrib.django import app

from broker.audit.actor import SYSTEM
from broker.desk import letters
from broker.desk.journal import terms


@app.periodic(cron="15 * * * *")
@app.task(
    name="broker.desk.tasks.mail_checkpoint", queue="mail", queueing_lock="desk.mail_checkpoint",
    lock="desk.mail_checkpoint",
)  # fmt: skip
def mail_checkpoint(timestamp: int) -> None:
    """Mail the checkpoint of the day that has ended. Every hour: a job that was late, or half done, is made good."""
    letters.write_of_the_day(by=SYSTEM)
    letters.send_those_left()


@app.periodic(cron="50 3 * * *")
@app.task(name="broker.desk.tasks.erase_due", queue="clock", queueing_lock="desk.erase_due")
def erase_due(timestamp: int) -> None:
    """Erase what the log keeps beside its leaves and is past its term (legal-gate, section 11)."""
    terms.erase_due()
