"""The grouping relaxation in cvxpy with SCS, that `npm run bench -- sdp` times beside ours.

Reads an n x n matrix of little-endian float64 and maximises <T, X> subject to X PSD, X >= 0, X e = e, tr X = groups with
SCS at the given eps.

Prints one JSON line: {"seconds": of the solve with modelling, "objective", "all": {"solver": SCS's own seconds}, "method", "peer"}.
"""

import argparse
import json
import time

import cvxpy
import numpy
import scs


def solve(affinity, groups, eps):
    n = len(affinity)
    start = time.perf_counter()
    x = cvxpy.Variable((n, n), PSD=True)
    problem = cvxpy.Problem(
        cvxpy.Maximize(cvxpy.trace(affinity @ x)), [x >= 0, cvxpy.sum(x, axis=1) == 1, cvxpy.trace(x) == groups]
    )
    problem.solve(solver="SCS", eps_abs=eps, eps_rel=eps, max_iters=100_000)
    return problem, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--matrix", required=True)
    parser.add_argument("--groups", type=int, required=True)
    parser.add_argument("--eps", type=float, default=1e-4)
    given = parser.parse_args()
    flat = numpy.fromfile(given.matrix, dtype="<f8")
    n = round(len(flat) ** 0.5)
    problem, seconds = solve(flat.reshape(n, n), given.groups, given.eps)
    stats = problem.solver_stats
    print(
        json.dumps(
            {
                "seconds": seconds,
                "objective": problem.value,
                "all": {"solver": stats.solve_time},
                "method": f"eps {given.eps:g}, {stats.num_iters} iterations, {problem.status}",
                "peer": f"cvxpy {cvxpy.__version__} with SCS {scs.__version__}",
            }
        )
    )


if __name__ == "__main__":
    main()
