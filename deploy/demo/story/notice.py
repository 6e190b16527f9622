"""The standing notices of the second half run: one step of the demo's clock."""

from deploy.demo.story import Step, acts
from deploy.demo.story.convention import NOTICE_DAYS

STEPS = [
    Step("laisse passer le délai des notices (horloge de la démonstration)", "elise",
         acts.advance("elise", days=NOTICE_DAYS)),
]  # fmt: skip
