"""Several acts in the same instant, each on a connection of its own."""

import threading

from django.db import connection

from broker.errors import TerrainError

PATIENCE = 60  # seconds, on a busy machine


def together(*acts):
    """Run each act in a thread of its own, all started at the same signal; what each gave, or the house's error."""
    ready, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        try:
            ready.wait(10)
            answers[place] = act()
        except TerrainError as error:
            answers[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return answers
