"""How few persons share a value: k of the columns by which somebody could be known, as they were read.

    python -m zones.classes < order.json

A process of its own with bounded memory, as `zones.profile` is. The order holds `tables` ({name: {"relation": SQL,
"subject": the column that names the person, or null: a row a person then, "columns": those to look at}}), `scratch`,
`memory` (MiB). The last line holds `classes`, of each table: `subjects`, how many persons; `together` and, by column,
`columns`: {"k": persons in the smallest class, "under": persons in a class of fewer than `K`}, of a column also
`without`, the same persons when all are taken together but it. A missing value is a value. No value leaves.
"""

import json
import resource
import sys
from typing import Any

from zones.profile import K, quoted

MOST = 16  # columns taken together: beyond, nearly everybody is alone in their class whatever the others say


def measured(connection, table: dict[str, Any]) -> dict[str, Any]:
    """What `table` tells of how few share a value."""
    columns, subject = table["columns"][:MOST], table["subject"]
    # One number a value, of its column's own; the numbers of a row XORed make its class, and XORed again undo a column.
    own = ", ".join(f"hash({at}, {quoted(name)}) AS h{at}" for at, name in enumerate(columns))
    who, held = (quoted(subject), f" WHERE {quoted(subject)} IS NOT NULL") if subject else ("row_number() OVER ()", "")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE d AS SELECT DISTINCT {who} AS s, {own} FROM {table['relation']}{held}"
    )
    (subjects,) = connection.execute("SELECT count(DISTINCT s) FROM d").fetchone()
    every = [f"h{at}" for at in range(len(columns))]
    found = {name: _share(connection, f"h{at}") for at, name in enumerate(columns)}
    for at, name in enumerate(columns):
        others = [one for one in every if one != f"h{at}"]
        found[name]["without"] = _share(connection, _together(others))["under"] if others else 0
    return {"subjects": int(subjects), "together": _share(connection, _together(every)), "columns": found}


def _together(numbers: list[str]) -> str:
    made = numbers[0]
    for one in numbers[1:]:
        made = f"xor({made}, {one})"
    return made


def _share(connection, klass: str) -> dict[str, int]:
    """The smallest class by persons, and the persons of classes below `K`."""
    smallest, under = connection.execute(
        f"""
        WITH p AS (SELECT DISTINCT {klass} AS g, s FROM d), c AS (SELECT g, count(*) AS n FROM p GROUP BY g)
        SELECT (SELECT min(n) FROM c),
               (SELECT count(DISTINCT s) FROM p WHERE g IN (SELECT g FROM c WHERE n < {K}))
        """
    ).fetchone()
    return {"k": int(smallest or 0), "under": int(under)}


def classes(order: dict[str, Any], tell=lambda line: None) -> dict[str, Any]:
    """The classes of each table of `order`. `tell` hears the progress."""
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": f"{order['memory']}MiB",
            "temp_directory": order["scratch"],
            "threads": 2,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    found = {}
    for number, (name, table) in enumerate(order["tables"].items()):
        tell({"step": "classes", "percent": 95 + 4 * number // len(order["tables"])})
        found[name] = measured(connection, table)
    return {"classes": found}


def main() -> None:
    order = json.load(sys.stdin)
    most = (order["memory"] * 2 + 2048) * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(classes(order, tell=lambda line: print(json.dumps(line), flush=True))), flush=True)


if __name__ == "__main__":
    main()
