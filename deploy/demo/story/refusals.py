"""What the gate says no to, every reason told."""

from deploy.demo.story import Step

STEPS: list[Step] = []
