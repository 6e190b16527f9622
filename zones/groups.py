"""Groups of neighbouring communes of at least 5,000 inhabitants: how they are made, the table of each edition. Pure.

A release brings a commune to its group (legal-gate, 7.1). The table is a file, written once for an edition and never
after: its SHA-256 stands in the recipe, so that a stranger joins the same groups.

    python -m zones.groups communes.json.gz epci.json.gz

writes it from the list of communes and that of their unions (see reference/README.md). The rules, in this order:

1. A commune of 5,000 inhabitants or more is a group of its own, named by its code.
2. The others are taken within one département and one union of communes (EPCI: neighbours, by law "d'un seul tenant et
   sans enclave"), in the order of their first postal code, then of their own code, neighbours sharing a post office.
   Each group takes communes until it counts 5,000; what is left joins the group before it.
3. Unions that hold fewer than 5,000 so in a département, and communes of no union, are taken together as in 2, in the
   order of their union's number; what is left joins the last group of several communes of the département; where there
   is none, its least populated commune of 5,000 or more; where there is none of these (the southern lands, where nobody
   lives), it is brought to its département.
4. A group of several is named by "G" and the smallest code in it. An arrondissement of Paris, Lyon or Marseille is
   brought to its commune. A commune of no inhabitants is grouped like the others.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

EDITION = 2026
PATH = Path(__file__).parent / "reference" / f"commune-groups-{EDITION}.csv.gz"
INHABITANTS = 5000
DISTRICTS = {"75056": range(75101, 75121), "69123": range(69381, 69390), "13055": range(13201, 13217)}


@lru_cache(maxsize=1)
def sha256() -> str:
    """The fingerprint of the edition's table, as it is stored: what the recipe says."""
    return hashlib.sha256(PATH.read_bytes()).hexdigest()


def make(communes: list[dict], unions: list[dict]) -> dict[str, str]:
    """The area of each commune, by code. Raises KeyError when a commune says neither code nor département."""
    union_of = {member["code"]: union["code"] for union in unions for member in union["membres"]}
    small: dict[tuple[str, str], list[dict]] = defaultdict(list)
    large: dict[str, list[dict]] = defaultdict(list)
    areas = {}
    for commune in communes:
        if commune["type"] != "commune-actuelle":
            continue
        if people(commune) >= INHABITANTS:
            areas[commune["code"]] = commune["code"]
            large[commune["departement"]].append(commune)
        else:
            small[commune["departement"], union_of.get(commune["code"], "")].append(commune)
    groups: dict[str, list[list[dict]]] = defaultdict(list)
    alone: dict[str, list[dict]] = defaultdict(list)
    for (department, union), members in sorted(small.items()):
        made, rest = gathered(sorted(members, key=_order)) if union else ([], members)
        if made:
            made[-1] += rest
        else:
            alone[department] += sorted(rest, key=_order)
        groups[department] += made
    for department, members in alone.items():
        made, rest = gathered(members)
        groups[department] += made
        if groups[department]:
            groups[department][-1] += rest
        elif large[department]:
            nearest = min(large[department], key=lambda one: (people(one), one["code"]))
            groups[department].append([nearest, *rest])
        else:
            areas |= {commune["code"]: department for commune in rest}
    for made in groups.values():
        for group in made:
            name = min(commune["code"] for commune in group)
            areas |= {commune["code"]: f"G{name}" if len(group) > 1 else name for commune in group}
    for whole, parts in DISTRICTS.items():
        areas |= {str(part): areas[whole] for part in parts if whole in areas}
    return dict(sorted(areas.items()))


def people(commune: dict) -> int:
    return commune.get("population") or 0


def _order(commune: dict) -> tuple[str, str]:
    return min(commune.get("codesPostaux") or [""]), commune["code"]


def gathered(communes: list[dict]) -> tuple[list[list[dict]], list[dict]]:
    """`communes` in groups that each count enough inhabitants, in their order; and those left over."""
    made: list[list[dict]] = []
    group: list[dict] = []
    for commune in communes:
        group.append(commune)
        if sum(people(one) for one in group) >= INHABITANTS:
            made.append(group)
            group = []
    return made, group


def as_csv(areas: dict[str, str]) -> bytes:
    """The table as it is stored: gzip without a date, so that the same areas are the same bytes."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["code", "area"])
    lines.writerows(areas.items())
    return gzip.compress(text.getvalue().encode(), mtime=0)


def main(argv: list[str]) -> int:
    communes, unions = (json.loads(gzip.decompress(Path(name).read_bytes())) for name in argv[1:3])
    PATH.write_bytes(as_csv(make(communes, unions)))
    print(f"{PATH.name} {sha256()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
