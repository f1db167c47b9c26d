"""Filters a database by random conditions, whole and mutilated, and compares the rows with those of other programs.

    python tests/stress/fuzz_conditions.py [--conditions 5000] [--seed 0]

Half of the conditions come from a grammar: each must give the rows for which it holds by an evaluator of its own, in
SQL's logic of true, false and unknown. The others are such conditions with words dropped, doubled, swapped or
misspelt, parentheses that are not balanced, comments, semicolons and other junk: each must be refused, or give the rows
that SQLite finds for the same text. Every 50th is also removed by, and put back.
"""

import collections
import datetime
import random
import re
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hacnn_tf.gallery import Database
from hacnn_tf.gallery.condition import as_time, sql_literal
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

REFUSED, SAME = "refused", "the same rows"
REMOVED_EACH = 50
DIM = 4
START = pd.Timestamp("2026-11-24 08:00:00")
TEXTS = ["red", "Red", "dark red", "é", "É", "", "it's", "a\\b", "50%", "a_b", "--", "x') or ('1' = '1", "a\nb", "2"]
TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\w+|[<>=!]+|\s+|.", re.DOTALL)
JUNK = [
    " limit 1", ";", "; x", " -- x", " /* x */", ")", ",", " or", " and", " not", " x", " 1", "'", '"',
    " union select 1", " order by path", ") or (camid = 1", " = 1", " is null", " escape '!'", "::int", "[0]",
    " as x", " {# x #}", " #",
]  # fmt: skip
OR, AND, NOT, PREDICATE, VALUE = range(5)

COMMAND = cli.Command(__doc__, "fuzz_conditions")
COMMAND.group("Fuzzing")
COMMAND.define("integer", "conditions", 5000, "how many", lower_bound=1)
COMMAND.define("integer", "seed", 0, "of the conditions", lower_bound=0)


def main(flags):
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, faults = fuzz(folder, flags.conditions, flags.seed)
    print(f"{flags.conditions:,} conditions, seed {flags.seed}, {time.monotonic() - started:.0f} s")
    for outcome, count in outcomes.most_common():
        print(f"{count:>8,}  {outcome}")
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)


def fuzz(folder, conditions, seed):
    """Tries some conditions on a database in a folder.

    Returns:
        A `collections.Counter` of outcomes, and a list of faults, in words.
    """
    rows = make_rows()
    database = make_database(folder, rows)
    oracle, outcomes, faults = SQLite(rows), collections.Counter(), []
    for number in range(conditions):
        chance = random.Random(f"{seed} {number}")
        said = condition(chance, depth=chance.randint(0, 3))
        whole = number % 2 == 0
        text, kind = (said.text, "whole") if whole else (mutilated(said.text, chance), "mutilated")
        try:
            found = set(database.rows(["path"], text).path)
        except InputError as error:
            outcomes[f"{kind}: {REFUSED}"] += 1
            if whole:
                faults.append(f"{text!r} was refused: {error}")
            continue
        expected = {row.path for row in rows.itertuples() if said.of(row)} if whole else oracle.paths(text)
        if expected is None:
            faults.append(f"{text!r} was used, although it is no condition to SQLite")
        elif expected == found:
            outcomes[f"{kind}: {SAME}"] += 1
        else:
            faults.append(f"{text!r} gives {sorted(found - expected)} too many, {sorted(expected - found)} too few")
        if number % REMOVED_EACH < 2 and not removes(database, text, found, rows):
            faults.append(f"{text!r} removes others than it finds")
    return outcomes, faults


def make_rows():
    """Sixty images of which much is not known."""
    chance = random.Random(0)
    names = [f"/people/p{i % 7}/{i:04d}_c{i % 4}.jpg" for i in range(56)]
    names += ["/people/it's.jpg", "/people/back\\slash.jpg", "/people/new\nline.jpg", "/people/Ünicode 😀.jpg"]
    count = len(names)
    times = [pd.NaT, pd.Timestamp("1969-07-20 20:17:40")]
    times += [START + pd.Timedelta(chance.choice([0, 1, 60, 3600, 86400]) * i, "s") for i in range(count - 2)]
    pick = {
        "camid": [None, 0, 1, 2, 2, 3, -1],
        "floor": [None, -2, 0, 5, 2**53 + 1, 2**63 - 1],
        "height": [None, 1.5, 1.75, 1.8, -0.5, 0.0, -0.0, 1e10],
        "coat": [None, *TEXTS],
        "known": [None, True, False],
    }
    types = {"camid": "Int64", "floor": "Int64", "height": float, "coat": object, "known": "boolean"}
    columns = {name: pd.array([chance.choice(pick[name]) for _ in names], dtype=types[name]) for name in pick}
    columns["time"] = pd.array(chance.sample(times, count), dtype="datetime64[us]")
    return pd.DataFrame({"path": names, "bytes": range(count), "modified": 1} | columns)


def make_database(folder, rows):
    model = SimpleNamespace(name="none", fingerprint="none", feature_dim=DIM, precision="float32")
    database = Database.create(Path(folder) / "people.lance", model, rows)
    put(database, rows)
    return database


def put(database, rows):
    database.write(rows, np.ones((len(rows), DIM), np.float32))


def removes(database, text, found, rows):
    """Whether a condition counts and removes what it finds; what was removed is put back."""
    counted, removed = database.count(text), database.remove(text)
    left = set(database.rows(["path"]).path)
    put(database, rows[rows.path.isin(found)])
    return counted == removed == len(found) and left == set(rows.path) - found


class Said(NamedTuple):
    """A part of a condition: its text, how tightly it binds, and its value for a row, `None` if that is unknown."""

    text: str
    level: int
    of: Any


def condition(chance, depth):
    """A random condition."""
    kinds = ["compare", "between", "in", "text", "null", "distinct", "truth"]
    kind = chance.choice(["and", "or", "not", "is", *kinds] if depth else kinds)
    if kind in ("and", "or"):
        level, decided = (AND, False) if kind == "and" else (OR, True)
        parts = [condition(chance, depth - 1) for _ in range(chance.randint(2, 3))]
        text = word(chance, f" {kind} ").join(within(chance, part, level) for part in parts)

        def joined(row):
            values = [part.of(row) for part in parts]
            return decided if decided in values else None if None in values else not decided

        return Said(text, level, joined)
    if kind == "not":
        part = condition(chance, depth - 1)
        text = word(chance, "not ") + within(chance, part, NOT)
        return Said(text, NOT, unless_unknown(lambda value: not value, part))
    if kind == "is":
        part, state, negated = condition(chance, depth - 1), chance.random() < 0.5, chance.random() < 0.5
        words = word(chance, f" is {'not ' * negated}{state}")
        return Said(within(chance, part, VALUE) + words, PREDICATE, lambda row: (part.of(row) is state) != negated)
    return globals()[f"_{kind}"](chance)


def _compare(chance):
    sign, compare = chance.choice(
        [
            ("=", lambda a, b: a == b),
            ("==", lambda a, b: a == b),
            ("!=", lambda a, b: a != b),
            ("<>", lambda a, b: a != b),
            ("<", lambda a, b: a < b),
            ("<=", lambda a, b: a <= b),
            (">", lambda a, b: a > b),
            (">=", lambda a, b: a >= b),
        ]
    )
    one, other = values(chance, 2)
    space = chance.choice(["", " "])
    text = f"{within(chance, one, VALUE)}{space}{sign} {within(chance, other, VALUE)}"
    return Said(text, PREDICATE, unless_unknown(compare, one, other))


def _between(chance):
    value, low, high = values(chance, 3)
    negated = chance.random() < 0.3
    text = (
        within(chance, value, VALUE)
        + word(chance, f"{' not' * negated} between ")
        + within(chance, low, VALUE)
        + word(chance, " and ")
        + within(chance, high, VALUE)
    )

    def holds(row):
        a, b, c = value.of(row), low.of(row), high.of(row)
        parts = [None if a is None or b is None else a >= b, None if a is None or c is None else a <= c]
        held = False if False in parts else None if None in parts else True
        return None if held is None else held != negated

    return Said(text, PREDICATE, holds)


def _in(chance):
    value, *choices = values(chance, chance.randint(2, 5))
    negated = chance.random() < 0.3
    inner = ", ".join(within(chance, choice, VALUE) for choice in choices)
    text = f"{within(chance, value, VALUE)}{word(chance, f'{chr(32)}not' * negated + ' in ')}({inner})"

    def holds(row):
        a, others = value.of(row), [choice.of(row) for choice in choices]
        held = None if a is None else True if a in others else None if None in others else False
        return None if held is None else held != negated

    return Said(text, PREDICATE, holds)


def _text(chance):
    value, kind = a_text(chance), chance.choice(["like", "ilike", "starts_with", "contains", "regexp_like"])
    if kind in ("like", "ilike"):
        parts = ["%", "%", "_", "red", "p1", ".jpg", "É", "'", "/people/", "a"]
        pattern, negated = "".join(chance.choices(parts, k=chance.randint(1, 4))), chance.random() < 0.3
        text = within(chance, value, VALUE) + word(chance, f"{' not' * negated} {kind} ") + sql_literal(pattern)
        match = unless_unknown(lambda text: like(pattern, text, kind == "ilike") != negated, value)
        return Said(text, PREDICATE, match)
    part = chance.choice(["red", "/people/p1", "c2", "'", "\\", "é", "/people/"])
    if kind == "regexp_like":
        part = chance.choice(["^/people/p[12]", "red|a_b", "c1.jpg", "[Rr]ED", "[0-9]+%"])
    return Said(
        f"{word(chance, kind)}({value.text}, {sql_literal(part)})", VALUE, unless_unknown(TESTS[kind](part), value)
    )


TESTS = {
    "starts_with": lambda part: lambda text: text.startswith(part),
    "contains": lambda part: lambda text: part in text,
    "regexp_like": lambda part: lambda text: re.search(part, text) is not None,
}


def like(pattern, text, any_case=False):
    """SQL's like; a backslash takes the meaning of the character after it."""
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    regex = "".join(wild.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(regex, text, re.DOTALL | (re.IGNORECASE if any_case else 0)) is not None


def _null(chance):
    (value,) = values(chance, 1)
    negated = chance.random() < 0.5
    text = within(chance, value, VALUE) + word(chance, f" is {'not ' * negated}null")
    return Said(text, PREDICATE, lambda row: (value.of(row) is None) != negated)


def _distinct(chance):
    one, other = values(chance, 2)
    negated = chance.random() < 0.5
    words = word(chance, f" is {'not ' * negated}distinct from ")
    text = within(chance, one, VALUE) + words + within(chance, other, VALUE)
    return Said(text, PREDICATE, lambda row: (one.of(row) != other.of(row)) != negated)


def _truth(chance):
    return a_truth(chance)


def values(chance, count):
    """As many values that can be compared; the first names a column."""
    kind = chance.choice([a_text, a_whole, a_real, a_time, a_truth])
    if kind is a_real:
        return [a_real(chance, literal=i > 0 and chance.random() < 0.7) for i in range(count)]
    return [kind(chance, literal=i > 0 and chance.random() < 0.8) for i in range(count)]


def a_text(chance, literal=False):
    if literal:
        text = chance.choice([*TEXTS, "/people/p1/0001_c1.jpg", "/people/it's.jpg"])
        return Said(sql_literal(text), VALUE, lambda row: text)
    if chance.random() < 0.2:
        inner, case = a_text(chance), chance.choice(["lower", "upper"])
        return Said(f"{word(chance, case)}({inner.text})", VALUE, unless_unknown(getattr(str, case), inner))
    return column(chance, chance.choice(["path", "coat"]))


def a_whole(chance, literal=False):
    if literal:
        number = chance.choice([-2, -1, 0, 1, 2, 3, 5, 2**53, 2**53 + 1, 2**63 - 1])
        return Said(str(number), VALUE, lambda row: number)
    if chance.random() < 0.15:
        part, get = chance.choice([("hour", "hour"), ("day", "day"), ("dow", None)])
        inner = a_time(chance)
        of = unless_unknown(lambda time: getattr(time, get) if get else time.isoweekday() % 7, inner)
        return Said(f"{word(chance, 'date_part')}('{part}', {inner.text})", VALUE, of)
    return column(chance, chance.choice(["camid", "camid", "floor"]))


def a_real(chance, literal=False):
    if literal:
        text = chance.choice(["1.5", "1.75", "-0.5", "0.0", "-0.0", "2", "1e10", "18e-1", "3."])
        return Said(text, VALUE, lambda row: float(text))
    return column(chance, "height")


def a_time(chance, literal=False):
    if not literal:
        if chance.random() < 0.2:
            of = unless_unknown(lambda time: time.floor("D"), column(chance, "time"))
            return Said(word(chance, "cast(") + "time" + word(chance, " as date)"), VALUE, of)
        return column(chance, "time")
    moment = START + pd.Timedelta(chance.choice([0, 1, 59.5, 3600, -86400, 86400 * 7, 1e-6, -2e9]), "s")
    if chance.random() < 0.3:
        day = moment.floor("D")
        return Said(f"{word(chance, 'date')} '{day:%Y-%m-%d}'", VALUE, lambda row: day)
    text = moment.isoformat(chance.choice(" T"))
    if chance.random() < 0.2:
        text = (moment + pd.Timedelta("2h")).isoformat(" ") + "+02:00"
    return Said(f"{word(chance, 'timestamp')} '{text}'", VALUE, lambda row: moment)


def a_truth(chance, literal=False):
    if literal:
        truth = chance.random() < 0.5
        return Said(word(chance, str(truth)), VALUE, lambda row: truth)
    return column(chance, "known")


def column(chance, name):
    return Said(f'"{name}"' if chance.random() < 0.1 else name, VALUE, lambda row: _plain(getattr(row, name)))


def _plain(value):
    """A value of a table as Python's own; `None` if it is missing."""
    return None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value


def within(chance, part, level):
    """The text of a part where nothing may bind less tightly than this; now and then in parentheses for nothing."""
    return f"({part.text})" if part.level < level or chance.random() < 0.1 else part.text


def word(chance, text):
    """A keyword in any case, with any space around it."""
    text = chance.choice([str.lower, str.lower, str.upper, str.title])(text)
    return re.sub(" ", lambda _: chance.choice([" ", " ", "  ", "\n"]), text)


def unless_unknown(function, *parts):
    def of(row):
        values = [part.of(row) for part in parts]
        return None if None in values else function(*values)

    return of


def mutilated(text, chance):
    """A condition with a few faults in it; now and then it is still one."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        tokens = TOKEN.findall(text) or [""]
        place = chance.randrange(len(tokens))
        words = [i for i, token in enumerate(tokens) if re.fullmatch(r"\w{2,}", token)]
        kind = chance.choice(
            ["drop", "double", "swap", "typo", "typo", "end", "junk", "bracket", "cut", "join", "character"]
        )
        if kind == "drop":
            del tokens[place]
        elif kind == "double":
            tokens.insert(place, tokens[place])
        elif kind == "swap":
            other = chance.randrange(len(tokens))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        elif kind == "typo" and words:
            place = chance.choice(words)
            letters = list(tokens[place])
            i = chance.randrange(len(letters) - 1)
            letters[i : i + 2] = chance.choice([letters[i : i + 2][::-1], letters[i], "x"])
            tokens[place] = "".join(letters)
        elif kind == "end":
            tokens.append(chance.choice(JUNK))
        elif kind == "junk":
            tokens.insert(place, chance.choice(JUNK))
        elif kind == "bracket":
            tokens.insert(place, chance.choice("()"))
        elif kind == "cut":
            del tokens[place:]
        elif kind == "join":
            tokens += [" ", chance.choice(["adn", "or", "and", "", "xor", "and not", "="]), " camid = 2"]
        else:
            text = "".join(tokens)
            i = chance.randrange(len(text) + 1)
            tokens = [text[:i], chance.choice("()'\",;=<>!-*/%.\\ 0a\t|&~^#@:$[]{}?\u00a0é"), text[i + 1 :]]
        text = "".join(tokens)
    return text


class SQLite:
    """The same rows in SQLite, which is taught the functions and literals that it does not have."""

    def __init__(self, rows):
        self._connection = sqlite3.connect(":memory:")
        whole_null = {
            "like": lambda pattern, text: like(pattern, text),
            "glob": lambda pattern, text: like(pattern, text, any_case=True),
            "starts_with": str.startswith,
            "contains": lambda text, part: part in text,
            "regexp_like": lambda text, part: re.search(part, text) is not None,
            "lower": str.lower,
            "upper": str.upper,
            "date_part": _date_part,
        }
        for name, function in whole_null.items():
            count = 1 if name in ("lower", "upper") else 2

            def known(*values, function=function):
                return None if None in values else function(*values)

            self._connection.create_function(name, count, known)
        columns = "path text, camid integer, floor integer, height real, coat text, known integer, time text"
        names = re.findall(r"(\w+) \w+", columns)
        self._connection.execute(f"create table rows ({columns})")
        for row in rows[names].itertuples(index=False):
            values = list(map(_plain, row))
            values[-1] = values[-1] and _as_text(values[-1])
            self._connection.execute(f"insert into rows values ({', '.join('?' * len(names))})", values)

    def paths(self, text):
        """The paths of the rows for which a condition holds; `None` if SQLite does not understand it."""
        try:
            found = self._connection.execute(f"select path from rows where {_as_sqlite(text)}").fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            return None
        return {path for (path,) in found}


def _as_sqlite(text):
    """A condition with times as texts that are ordered as they are."""
    tokens = [token for token in TOKEN.findall(text) if token.strip()]
    for i, token in enumerate(tokens[:-1]):
        if token.lower() in ("timestamp", "date") and tokens[i + 1].startswith("'"):
            tokens[i : i + 2] = ["", sql_literal(_as_text(as_time(tokens[i + 1][1:-1])))]
    tokens = ["glob" if token.lower() == "ilike" else token for token in tokens]
    text = " ".join(tokens)
    day = r"(?i)\bcast \( (time|\"time\"|\( time \)) as date \)"
    return re.sub(day, "(substr(time, 1, 10) || ' 00:00:00.000000')", text)


def _as_text(time):
    return time.isoformat(" ", "microseconds")


def _date_part(part, text):
    time = datetime.datetime.fromisoformat(text)
    return time.isoweekday() % 7 if part == "dow" else getattr(time, part)


if __name__ == "__main__":
    COMMAND.run(main)
