"""Looks at the machine before anything is installed, on any Python 3: each missing thing in one line, with its mend."""

import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NEEDED = (3, 11)
NEEDED_MIB = 1500  # the virtual environment, PostgreSQL, the story's files
INSTALLED_MIB = 200  # what a story adds


def port():
    """The web's port; delivery, the time-stamp authority and the witness take the next three."""
    return int(os.environ.get("TERRAIN_PORT") or "8000")


def problems(serve=True):
    """What is missing, a line each; `serve` asks for the ports too."""
    if sys.version_info < NEEDED:
        yield (
            f"Python {sys.version_info[0]}.{sys.version_info[1]} est trop ancien : installez Python 3.11 ou plus "
            "récent, puis `make demo PYTHON=python3.11`."
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        yield "Le module venv de Python manque : `apt-get install python3-venv`, puis relancez la commande."
    if not os.access(str(ROOT), os.W_OK):
        yield f"Le dossier {ROOT} n'est pas modifiable : clonez le dépôt dans un dossier à vous."
    free = shutil.disk_usage(str(ROOT)).free // 2**20
    needed = INSTALLED_MIB if (ROOT / ".venv" / ".run").exists() else NEEDED_MIB
    if free < needed:
        yield f"Il reste {free} Mio sur le disque de {ROOT} : libérez-en pour arriver à {needed}."
    for number in range(port(), port() + 4) if serve else ():
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", number))
        except OSError as error:
            yield (
                f"Le port {number} est pris ({error.strerror}) : arrêtez ce qui l'occupe, ou choisissez-en d'autres : "
                "`make demo TERRAIN_PORT=8010`."
            )


if __name__ == "__main__":
    found = list(problems(serve="--install" not in sys.argv))
    for line in found:
        print("terrain : " + line, file=sys.stderr)
    sys.exit(1 if found else 0)
