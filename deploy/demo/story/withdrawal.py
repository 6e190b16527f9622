"""The agency withdraws an accreditation: every access of that organisation ends."""

from deploy.demo.story import Step

STEPS: list[Step] = []
