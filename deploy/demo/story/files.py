"""Files with dirt in them: charging sessions of the year 14, accidents, vehicles in Latin-1, FHIR patients."""

from deploy.demo.story import Step

STEPS: list[Step] = []

# Played after the standing notices have run.
RELEASES: list[Step] = []
