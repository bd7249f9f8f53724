"""A mixed-integer programme and its solver, HiGHS, behind one door that checks every status.

Floats live here and in `exact`, nowhere else in `placement`. One thread, always the same: HiGHS returns zeros without
an error when the number of threads changes between two solves of a process. `highspy` must not share a process with
`ortools`.

HiGHS solves without Python's lock and calls back into this very thread: a signal's Python half runs in the callback,
so that somebody who says stop is heard a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from placement.errors import PlacementError

INFINITY = float("inf")
OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "mip_abs_gap": 0.0,
    "mip_rel_gap": 1e-7,
    "mip_feasibility_tolerance": 1e-7,
    "primal_feasibility_tolerance": 1e-8,
}
MOST_NODES = 50_000
"""Branch-and-bound nodes per solve: work, never the clock, ends a solve that does not prove its optimum."""

Terms = Mapping[int, float]
"""Coefficients by column."""

Look = Callable[[float, float], bool]
"""Is told the objective of the best solution so far (infinite while there is none) and the bound; ends it with True."""


class StoppedError(Exception):
    """A solve was ended before it had any solution."""


@dataclass(frozen=True, slots=True)
class Solved:
    """What one solve found.

    Attributes:
        values: of every column.
        bound: no solution's objective is below it.
        is_optimal: whether the solve proved its optimum.
        is_stopped: whether somebody who looked on ended it.
        work: simplex iterations and branch-and-bound nodes.
    """

    values: list[float]
    objective: float
    bound: float
    is_optimal: bool
    is_stopped: bool
    work: int


@dataclass(slots=True)
class Programme:
    """Columns and rows, collected and then solved for one goal after the other; `look` looks on at every solve."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    rows: list[tuple[dict[int, float], float, float]] = field(default_factory=list)
    most_nodes: int = MOST_NODES
    look: Look | None = None
    _solver: Any = None
    _incumbent: list[float] | None = None

    def column(self, upper: float = 1.0, *, whole: bool = True, lower: float = 0.0) -> int:
        """Add a column and return its index."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.whole.append(whole)
        return len(self.lower) - 1

    def row(self, terms: Iterable[tuple[int, float]], lower: float = -INFINITY, upper: float = INFINITY) -> None:
        """Add a row; coefficients of one column add up."""
        merged: dict[int, float] = {}
        for column, value in terms:
            merged[column] = merged.get(column, 0.0) + value
        self.rows.append((merged, lower, upper))
        if self._solver is not None:
            self._add(merged, lower, upper)

    def minimise(self, goal: Terms) -> Solved | None:
        """Solve for one goal, starting from what the last solve found; None when nothing is feasible.

        Raises StoppedError, and PlacementError when the solver ends in any other way than it should.
        """
        import highspy
        import numpy as np

        if self._solver is None:
            self._solver = self._load()
            self._solver.cbMipInterrupt.subscribe(self._watched)
        solver, count = self._solver, len(self.lower)
        costs = np.zeros(count)
        for column, value in goal.items():
            costs[column] = value
        solver.changeColsCost(count, np.arange(count, dtype=np.int32), costs)
        if self._incumbent is not None:
            start = highspy.HighsSolution()
            start.col_value = self._incumbent
            solver.setSolution(start)
        solver.run()
        return self._result(solver, highspy.HighsModelStatus)

    def _result(self, solver: Any, statuses: Any) -> Solved | None:
        status, found = solver.getModelStatus(), solver.getInfo()
        if status == statuses.kInfeasible:
            return None
        is_optimal, is_stopped = status == statuses.kOptimal, status == statuses.kInterrupt
        is_limited = is_stopped or status in (statuses.kSolutionLimit, statuses.kIterationLimit)
        if is_stopped and found.primal_solution_status != 2:
            raise StoppedError
        if not is_optimal and (not is_limited or found.primal_solution_status != 2):
            raise PlacementError(
                f"the solver ended with {solver.modelStatusToString(status)!r}",
                advice="a fleet of this size needs the search engine; plan fewer connected sites at once",
            )
        values = [float(value) for value in solver.getSolution().col_value]
        self._incumbent = values
        work = max(0, found.simplex_iteration_count) + max(0, found.mip_node_count)
        objective = float(found.objective_function_value)
        bound = float(found.mip_dual_bound)
        return Solved(values, objective, min(bound, objective), is_optimal, is_stopped, int(work))

    def _load(self) -> Any:
        import highspy
        import numpy as np

        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in {**OPTIONS, "mip_max_nodes": self.most_nodes}.items():
            solver.setOptionValue(name, value)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self.lower), len(self.rows)
        model.col_cost_ = np.zeros(len(self.lower))
        model.col_lower_, model.col_upper_ = np.array(self.lower), np.array(self.upper)
        model.row_lower_ = np.array([lower for _, lower, _ in self.rows])
        model.row_upper_ = np.array([upper for _, _, upper in self.rows])
        model.integrality_ = [
            highspy.HighsVarType.kInteger if whole else highspy.HighsVarType.kContinuous for whole in self.whole
        ]
        matrix = model.a_matrix_
        matrix.format_ = highspy.MatrixFormat.kRowwise
        matrix.start_ = np.cumsum([0, *(len(terms) for terms, _, _ in self.rows)], dtype=np.int32)
        matrix.index_ = np.array([column for terms, _, _ in self.rows for column in terms], dtype=np.int32)
        matrix.value_ = np.array([value for terms, _, _ in self.rows for value in terms.values()], dtype=np.float64)
        solver.passModel(model)
        return solver

    def _watched(self, event: Any) -> None:
        """Tell who looks on how far the solve is, and end it when they say so."""
        found = event.data_out
        if self.look is not None and self.look(found.mip_primal_bound, found.mip_dual_bound):
            event.interrupt()

    def _add(self, terms: Mapping[int, float], lower: float, upper: float) -> None:
        import numpy as np

        columns = np.array(list(terms), dtype=np.int32)
        self._solver.addRow(lower, upper, len(terms), columns, np.array(list(terms.values()), dtype=np.float64))
