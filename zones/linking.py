"""How many rows find the row they point to. Run as a process of its own with bounded memory, as `zones.profile` is.

    python -m zones.linking < order.json

The order holds `tables` (SQL of each by its name, every column text), `pairs` ([[table, column], [table, column]]: a
column and a key), `scratch`, `memory` (MiB). The last line holds `links`: the rows of each pair that bear a value,
those that are found, the same of distinct values, and, where both are of one table, the rows that bear their own key.
No value leaves.
"""

import json
import resource
import sys
from typing import Any

from zones.profile import quoted


def links(order: dict[str, Any], tell=lambda line: None) -> dict[str, Any]:
    """Counts for each pair of `order`, in its order. `tell` hears the progress."""
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
    wanted: dict[str, dict[str, None]] = {}
    for pair in order["pairs"]:
        for table, column in pair:
            wanted.setdefault(table, {})[column] = None
    loaded = {}
    for number, (table, columns) in enumerate(wanted.items()):
        tell({"step": "links", "percent": 90 + 5 * number // len(wanted)})
        loaded[table] = f"t{number}"
        connection.execute(
            f"CREATE TEMP TABLE t{number} AS SELECT {', '.join(map(quoted, columns))} FROM {order['tables'][table]}"
        )
    connection.execute("SET enable_external_access = false")
    found = []
    for (child_table, child), (key_table, key) in order["pairs"]:
        held, parents, values, known = connection.execute(
            f"""
            WITH c AS (SELECT {quoted(child)} v, count(*) n FROM {loaded[child_table]}
                       WHERE {quoted(child)} IS NOT NULL GROUP BY 1),
                 k AS (SELECT DISTINCT {quoted(key)} v FROM {loaded[key_table]} WHERE {quoted(key)} IS NOT NULL)
            SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (k.v IS NOT NULL), 0), count(*), count(k.v)
            FROM c LEFT JOIN k ON c.v = k.v
            """
        ).fetchone() or (0, 0, 0, 0)
        own = 0
        if child_table == key_table:
            same = f"SELECT count(*) FROM {loaded[child_table]} WHERE {quoted(child)} = {quoted(key)}"
            own = (connection.execute(same).fetchone() or (0,))[0]
        counts = {"held": held, "found": parents, "values": values, "known": known, "own": own}
        found.append({name: int(count) for name, count in counts.items()})
    return {"links": found}


def main() -> None:
    order = json.load(sys.stdin)
    most = (order["memory"] * 2 + 2048) * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(links(order, tell=lambda line: print(json.dumps(line), flush=True))), flush=True)


if __name__ == "__main__":
    main()
