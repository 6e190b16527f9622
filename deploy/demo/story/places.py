"""An eco-district, a city, a mountain road and a care network open; a town below the threshold is refused."""

from deploy.demo.story import Step

STEPS: list[Step] = []
