"""A day after the last day, nothing leaves."""

from deploy.demo.story import Step

STEPS: list[Step] = []
