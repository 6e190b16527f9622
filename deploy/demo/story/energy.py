"""Load curves that belong to a grid operator: consents, a missing signature, and only the homes that agreed."""

from deploy.demo.story import Step

STEPS: list[Step] = []

# Played after the standing notices have run.
RELEASES: list[Step] = []
