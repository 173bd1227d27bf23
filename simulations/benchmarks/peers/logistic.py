"""scikit-learn's LogisticRegression on the very subsets that `npm run bench -- estimation` solves.

Reads a folder: rows.f32 (raw little-endian float32, clients one after the other, [clients x rows, dim]; a row is y x, so that the
loss is log(1 + exp(-row . w)) and labels are put back by flipping every second row) and task.json: {"dim", "rows" a client,
"subsets": [[client, ...], ...], "penalty": [C, ...]}. Without an intercept; scikit-learn has no offsets, so margins are zero.

Ways: LogisticRegression as it comes (lbfgs, float32), lbfgs at a tolerance of 1e-6 (float64) and newton-cholesky at 1e-6
(float64); each with one thread and with all, since small products gain nothing by threads on a busy machine. Gathering a
subset's rows counts.

Prints one JSON line: {"seconds": of the way as it comes, a subset, median, "all": {way: seconds}, "processor": {way: processor
seconds a subset}, "gradient": {way: largest gradient norm, where the mean squared norm of a row is 1}, "optima": [newton-cholesky's
objective of each subset, nats an example], "peer", "subsets"}.
"""

import argparse
import json
import pathlib
import statistics
import time
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

WAYS = {
    "as it comes": (np.float32, {}),
    "lbfgs at 1e-6": (np.float64, {"tol": 1e-6, "max_iter": 1000}),
    "newton-cholesky at 1e-6": (np.float64, {"solver": "newton-cholesky", "tol": 1e-6}),
}


def optimum(x, y, penalty, scale, w):
    """Objective as Kindred writes it, (1 / N) sum of losses + |w|^2 / (2 C N), and its gradient's norm in scaled units."""
    x = x.astype(np.float64)
    z = y * (x @ w)
    n = len(y)
    gradient = -(x.T @ (y / (1 + np.exp(z)))) / n + w / (penalty * n)
    return np.logaddexp(0, -z).mean() + w @ w / (2 * penalty * n), float(np.linalg.norm(gradient) / scale)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    task = json.loads((given.folder / "task.json").read_text())
    rows = np.fromfile(given.folder / "rows.f32", dtype="<f4").reshape(-1, task["rows"], task["dim"])
    scale = float(np.sqrt((rows.astype(np.float64) ** 2).sum() / (rows.shape[0] * rows.shape[1])))
    sign = np.where(np.arange(task["rows"]) % 2 == 0, 1, -1)
    rows = rows * sign[None, :, None].astype(np.float32)
    seconds, processor, gradients, objective = {}, {}, {}, []
    for way, (kind, options) in WAYS.items():
        trials = []
        for threads in sorted({1, given.threads}):
            with threadpool_limits(limits=threads):
                wall, busy, norms, found = [], [], [], []
                for subset, penalty in zip(task["subsets"], task["penalty"]):
                    start, before = time.perf_counter(), time.process_time()
                    x = rows[subset].reshape(-1, task["dim"]).astype(kind)
                    y = np.tile(sign, len(subset))
                    model = LogisticRegression(C=penalty, fit_intercept=False, **options).fit(x, y)
                    wall.append(time.perf_counter() - start)
                    busy.append(time.process_time() - before)
                    value, norm = optimum(x, y, penalty, scale, model.coef_[0].astype(np.float64))
                    norms.append(norm)
                    found.append(value)
                trials.append((statistics.median(wall), statistics.median(busy), max(norms), found))
        seconds[way], processor[way], gradients[way], objective = min(trials)
    print(
        json.dumps(
            {
                "seconds": seconds["as it comes"],
                "all": seconds,
                "processor": processor,
                "gradient": gradients,
                "optima": objective,
                "peer": f"scikit-learn {sklearn.__version__}",
                "subsets": len(task["subsets"]),
            }
        )
    )


if __name__ == "__main__":
    main()
