"""A second start-up on the same patients: other pseudonyms, and a leaked line traced to its convention."""

from deploy.demo.story import Step

STEPS: list[Step] = []

# Played after the standing notices have run.
RELEASES: list[Step] = []
