"""A patient objects; from 02:00 the release that holds them is refused, until it is rebuilt without them."""

from deploy.demo.story import Step

STEPS: list[Step] = []
