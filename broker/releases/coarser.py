"""What one column told coarser would cost, asked of what a preview has counted already. Pure.

The rows are not read again: `counted` holds the ages and places of those who may leave, before any treatment.
"""

from dataclasses import replace

from broker.releases import treating
from broker.releases.dialects import name_of
from broker.releases.plan import Plan, Statement
from broker.releases.treating import MERGED, Cell


class CoarserPlan(Plan):
    """The plan of the same recipe, the column `name` under another treatment, over the tables of `plan`."""

    def __init__(self, plan: Plan, name: str, treatment: dict):
        columns = [{**c, "treatment": treatment} if c["name"] == name else c for c in plan.recipe["columns"]]
        super().__init__({**plan.recipe, "columns": columns}, path=plan.path, dialect=plan.dialect)
        self.name, self.was_grouped = name, name in plan.grouped

    def _bands(self) -> dict[str, tuple[str, str]]:
        """The bands that stand in the table `age`: not the coarser one, which is made of the row's own ages."""
        return {name: value for name, value in super()._bands().items() if name != self.name}

    def _cell(self, column: dict) -> Cell:
        cell = super()._cell(column)
        if column["name"] == self.name and self.was_grouped:
            return replace(cell, of=treating.first_of_group(cell.of))
        return cell

    def rare(self) -> Statement | None:
        """The rare categories of the column, where they are merged."""
        if self.name not in self.merged:
            return None
        return self.measures()[[c["name"] for c in self._of_kind(*MERGED)].index(self.name)]

    def lost(self) -> str:
        """The rows of classes of fewer than k distinct subjects."""
        names = ", ".join(name_of(name) for name in self.quasi)
        return (
            f"SELECT coalesce(sum(n), 0) FROM (SELECT sum(terrain_n) AS n FROM ({self._treated(rows='counted')}) told "
            f"GROUP BY {names} HAVING {self.small()}) small"
        )
