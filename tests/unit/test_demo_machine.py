"""What a newcomer's machine lacks is told before anything starts."""

import socket

from deploy.demo import machine
from tests.functional.demos import PORTS, free_ports


def test_a_port_that_is_taken_is_named_whichever_of_the_four_it_is(monkeypatch):
    first = free_ports()
    monkeypatch.setenv("TERRAIN_PORT", str(first))
    told = []

    for number in range(first, first + PORTS):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", number))
            taken.listen()
            told.append([line for line in machine.problems() if f"Le port {number} est pris" in line])

    assert [len(lines) for lines in told] == [1] * PORTS
    assert not [line for line in machine.problems() if "est pris" in line]
