"""How much of a difference between two networks may be chance in who was tested?

    python -m hacnn_tf.evaluate --export A --dataset cuhk03 --data_root DATA --per_query a.csv
    python -m hacnn_tf.evaluate --export B --dataset cuhk03 --data_root DATA --per_query b.csv
    python experiments/studies/people.py --first a.csv --second b.csv [--people 384]

Draws the persons again, with replacement, each with all queries; the gallery stays as it is. Prints the difference of
Rank-1 and mAP, first less second, and the middle 95% of the differences by such draws, as half their width. Seeds are
another chance, for which gains.py has an interval.
"""

import numpy as np
import pandas as pd

from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

COMMAND = cli.Command(__doc__, "people")
COMMAND.group("Results")
COMMAND.define("path", "first", None, "what evaluate --per_query wrote for a network")
COMMAND.define("path", "second", None, "the same for another, on the same dataset")
COMMAND.group("Draws")
COMMAND.define("integer", "people", None, "persons to draw; as many as there are if not given", lower_bound=1)
COMMAND.define("integer", "seed", 0, "of the draws")

DRAWS = 10_000


def main(flags):
    cli.require(flags, "first", "second")
    differences, people = paired(pd.read_csv(flags.first), pd.read_csv(flags.second))
    drawn = draw(differences, people, flags.people or len(np.unique(people)), flags.seed)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    for name, mean, half in zip(("Rank-1", "mAP"), differences.mean(axis=0), (high - low) / 2, strict=True):
        print(f"{name:<8}{mean:+.1f} ± {half:.1f}")


def paired(first, second):
    """`(n, 2)` differences of Rank-1 and AP, in percent, of queries with a match, and their `(n,)` identities."""
    if first.path.tolist() != second.path.tolist():
        raise InputError("The two files are of other queries: evaluate both networks on one dataset.")
    results = [np.stack([100 * (table.first_rank == 1), table.AP], axis=1) for table in (first, second)]
    matched = (first.matches > 0).to_numpy()
    return (results[0] - results[1])[matched], first.pid.to_numpy()[matched]


def draw(differences, people, count, seed):
    """`(DRAWS, 2)` mean differences, each over the queries of `count` persons drawn with replacement."""
    _, person = np.unique(people, return_inverse=True)
    sums = np.stack([np.bincount(person, column) for column in differences.T], axis=1)
    queries = np.bincount(person)
    rng = np.random.default_rng(seed)
    rows = (rng.integers(len(queries), size=count) for _ in range(DRAWS))
    return np.stack([sums[row].sum(axis=0) / queries[row].sum() for row in rows])


if __name__ == "__main__":
    COMMAND.run(main)
