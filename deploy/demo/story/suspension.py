"""A convention is suspended while a slow client reads: the download is cut."""

from deploy.demo.story import Step

STEPS: list[Step] = []
