"""Jobs of the desk."""

from procrastinate.contrib.django import app

from broker.audit.actor import SYSTEM
from broker.desk import letters


@app.periodic(cron="15 * * * *")
@app.task(
    name="broker.desk.tasks.mail_checkpoint", queue="mail", queueing_lock="desk.mail_checkpoint",
    lock="desk.mail_checkpoint",
)  # fmt: skip
def mail_checkpoint(timestamp: int) -> None:
    """Mail the checkpoint of the day that has ended. Every hour: a job that was late, or half done, is made good."""
    letters.write_of_the_day(by=SYSTEM)
    letters.send_those_left()
