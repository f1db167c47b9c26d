"""Conditions: read whole or refused, and what they filter and delete compared with brute force and SQLite."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery.condition import MAX_TERMS, parse_condition, sql_literal
from hacnn_tf.gallery.times import as_time
from hacnn_tf.utils.errors import InputError
from tests.stress.fuzz_conditions import SQLite, fuzz, make_database, make_rows

COLUMNS = {
    "path": pa.string(),
    "camid": pa.int64(),
    "time": pa.timestamp("us"),
    "known": pa.bool_(),
    "height": pa.float64(),
    "coat": pa.dictionary(pa.int32(), pa.string()),
    "day": pa.date32(),
    "seconds": pa.timestamp("s"),
    "zoned": pa.timestamp("us", "UTC"),
    "order": pa.int64(),
    "Height": pa.int64(),
}
HALF_SAID = [  # of each of these LanceDB by itself takes a part, and drops the rest
    "camid = 2 adn path like '%p1%'",
    "camid = 2 limit 1",
    "camid = 2; x",
    "camid = 2;",
    "camid = 2) or (camid = 1",
    "camid = 2)",
    "camid = 2,",
    "camid = 2 -- x",
    "camid = 2 /* x */",
    "camid = 2 order by path",
    "camid = 2 path",
]


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def people(rows, tmp_path_factory):
    return make_database(tmp_path_factory.mktemp("conditions"), rows)


@pytest.mark.parametrize("where", HALF_SAID)
def test_a_condition_of_which_a_part_would_be_dropped_is_refused(people, rows, where):
    feature = np.ones((1, people.feature_dim), np.float32)
    for use in (people.remove, people.count, lambda w: people.rows(["path"], w), lambda w: people.search(feature, w)):
        with pytest.raises(InputError, match=r"^The condition .* cannot be used: .*\.$") as error:
            use(where)
        assert "\n" not in str(error.value)
    assert len(people) == len(rows)


def test_random_conditions_give_what_brute_force_and_sqlite_give(tmp_path):
    outcomes, faults = fuzz(tmp_path, conditions=400, seed=1)
    assert not faults
    assert outcomes["whole: the same rows"] == 200
    assert outcomes["mutilated: refused"] > 150 and outcomes["mutilated: the same rows"] > 5


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("camid = 2 adn camid = 1", "it is not one whole condition at 'adn', after 'camid = 2'"),
        ("", "it says nothing"),
        ("  \n", "it says nothing"),
        ("-- all", "it says nothing|it has a comment"),
        ("camid = '2", "a quote is not closed"),
        ("camid = 2 or", "it is not one whole condition"),
        ("camid in (1, 2,)", "',' has no place in it, or is there too often"),
        ("camid in (1,, 2)", "',' has no place in it, or is there too often"),
        ("camid in (, 1)", "',' has no place in it"),
        ("lower(path,) = 'a'", "',' has no place in it"),
        ("camid between 1 2", "'and' is missing"),
        ("cast(time as date() = date '2026-11-24'", "a parenthesis is missing or too many"),
        ("date_part(not 'hour', time) = 8", "takes one of the parts"),
        ("known not is true", "not stands before is; write is not"),
        ("known is unknown", "'unknown' has no place in it"),
        ("camid = +2", r"'\+' has no place in it"),
        ("camid <=> 2", "has no place in it"),
        ("path rlike 'a'", "has no place in it"),
        ("height < .25", "'.' has no place in it"),
        ("camid in ()", "names no values"),
        ("camid in [1, 2]", r"'[\[\]]' has no place in it"),
        ("time::date = date '2026-11-24'", "'::' has no place in it"),
        ("camid /* of the door */ = 2", "it has a comment, 'of the door'"),
        ("camid", "camid is a number, which by itself is neither true nor false"),
        ("1", "1 is a number"),
        ("not path", "path is a text"),
        ("camera = 2", "there is no column camera; the columns are path, camid, .*, seconds, zoned, order and 1 more"),
        ("CAMID = 2", "there is no column CAMID, but camid"),
        ('"Camid" = 2', 'there is no column "Camid", but camid'),
        ('path = "a.jpg"', 'there is no column "a.jpg"; .*; texts stand in single quotes'),
        ("rows.camid = 2", "cannot be used"),
        ("feature is null", "there is no column feature"),
        ("_rowid = 1", "there is no column _rowid"),
        ("camid = '2'", "camid is a number and '2' is a text"),
        ("path = 2", "path is a text and 2 is a number"),
        ("known = 1", "known is true or false and 1 is a number"),
        ("time > '2026-11-24'", "time is a time and '2026-11-24' is a text; write timestamp '2026-11-24 15:30:00'"),
        ("path like 'C:\\cams\\%'", "has a backslash; use starts_with or contains"),
        ("time > timestamp 'soon'", "'soon' is no time from 1678 to 2261; write timestamp"),
        ("time > timestamp '2026'", "'2026' is no time"),
        ("time > timestamp '2026-02-30'", "'2026-02-30' is no time"),
        ("time > timestamp '9999-12-31'", "'9999-12-31' is no time"),
        ("time > timestamp '2026-11-24 08:00:00.0000001'", "is finer than a microsecond"),
        ("time > timestamp(3) '2026-11-24'", "cannot be used"),
        ("time > date '2026-11-24 08:00'", "is no day; write date '2026-11-24'"),
        ("time > date '2026-11-31'", "is no day"),
        ("seconds > timestamp '2026-11-24 08:00:00.5'", "is finer than those of the column"),
        ("seconds in (timestamp '2026-11-24', timestamp '2026-11-24 08:00:00.5')", "is finer"),
        ("time <= seconds", "the columns in time <= seconds have times of different units"),
        ("time between seconds and timestamp '2026-11-24'", "times of different units"),
        ("order = height", "the columns in order = height have whole numbers and fractions; compare each with a"),
        ("height in (1.5, order)", "whole numbers and fractions"),
        ("zoned > timestamp '2026-11-24'", "can only be tested by is null"),
        ("cast(camid as date) = date '2026-11-24'", "camid is a number, where a time is needed"),
        ("cast(camid as text) = '2'", "only times can be cast, to date"),
        ("date_part('week', time) = 2", "takes one of the parts year, month"),
        ("camid = null", "nothing equals null; write is null or is not null"),
        ("camid in (1, null)", "nothing equals null"),
        ("camid is 2", "after is stands null, true, false or distinct from, and not 2"),
        ("camid + 1 = 3", r"camid \+ 1 cannot be compared"),
        ("camid - 1 = 3", "camid - 1 cannot be compared"),
        ("-camid = -2", "-camid is no number"),
        ("camid = 2e", "2e is no number"),
        ("camid = 0x2", "not one whole condition"),
        ("camid < 2 < 3", "camid < 2 cannot be compared"),
        ("known = true is null", "cannot be compared"),
        ("camid = (select 1)", "cannot be compared"),
        ("camid in (select 1)", "cannot be used"),
        ("exists (select 1)", "."),
        ("count(camid) > 1", "is none of the functions lower, upper"),
        ("random() > 1", "is none of the functions"),
        ("case when known then true else false end", "cannot be|is none of"),
        ("lower(camid) = '2'", "camid is a number, where a text is needed"),
        ("lower(distinct path) = 'a'", "cannot be compared|none of the functions"),
        ("regexp_like(path, 'a', 'i')", "cannot be used"),
        ("path like coat", "must be a text in single quotes"),
        ("path like 'a!%' escape '!'", "cannot be"),
        ("path || 'a' = 'b'", "cannot be compared"),
        ("! known", "'!' has no place in it"),
        ("known and " * MAX_TERMS + "known", "it joins more than 1,000 parts"),
        ("(" * 2000 + "known" + ")" * 2000, "nested too deeply"),
        ("not " * 5000 + "known", "nested too deeply"),
    ],
)
def test_what_a_condition_cannot_say(where, words):
    with pytest.raises(InputError, match=rf"^The condition .* cannot be used: .*({words}).*\.$") as error:
        parse_condition(where, COLUMNS)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ("camid = 2", '("camid" = 2)'),
        ("not camid = 1 or known and camid <> -2", '((NOT ("camid" = 1)) OR ("known" AND ("camid" <> -2)))'),
        ("order = 007 and Height = 1", '(("order" = 007) AND ("Height" = 1))'),
        ("height > - 1.5e3 and height < 0.5", '(("height" > -1.5e3) AND ("height" < 0.5))'),
        ("time <= timestamp '2026-11-24T08:00+02:00'", "(\"time\" <= timestamp '2026-11-24 06:00:00.000000')"),
        ("seconds = timestamp '20261124'", "(\"seconds\" = timestamp '2026-11-24 00:00:00.000000')"),
        ("day between date '2026-11-24' and day", "(\"day\" BETWEEN date '2026-11-24' AND \"day\")"),
        ("known IS NOT True", '(NOT ("known" IS TRUE))'),
        ("zoned is null", '("zoned" IS NULL)'),
    ],
)  # fmt: skip
def test_what_lancedb_gets(where, sql):
    assert parse_condition(where, COLUMNS) == sql
    assert parse_condition(sql, COLUMNS).replace("007", "7") == sql.replace("007", "7"), "it says the same"


def test_lancedb_takes_as_many_parts_as_are_let_through(people, rows):
    where = "path is null or " * (MAX_TERMS - 1) + "path is not null"
    assert people.count(where) == len(rows)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("not ", ""),
        ("(camid is null and ", ")"),
        ("(", " or camid is null)"),
        ("not (camid is distinct from 2 or ", ")"),
    ],
)
def test_lancedb_takes_as_deep_parts_as_are_let_through(people, rows, before, after):
    inner = "cast(time as date) is distinct from date '2026-11-24'"
    accepted = 0
    for depth in range(1, 40):
        where = before * depth + inner + after * depth
        try:
            found = people.count(where)
        except InputError as error:
            assert "its parts are nested too deeply" in str(error)
        else:
            assert 0 <= found <= len(rows)
            accepted += 1
    assert 5 < accepted < 25


def test_any_name_of_a_file_is_found_by_itself_and_nothing_else(people, rows):
    names = [
        *rows.path,
        "it''s",
        "\\'",
        "'); drop table rows; --",
        "%",
        "a\0b",
        "\u202e\u00a0",
        "{{x}}",
        "{# x #}",
        "$$a$$",
    ]
    for name in names:
        assert people.rows(["path"], f"path = {sql_literal(name)}").path.tolist() == [name] * (name in set(rows.path))
    assert len(people.feature(rows.path)) == len(rows)


@pytest.mark.parametrize(
    "name", ["order", "select", "true", "null", "timestamp", "Mixed", "a b", "it's", 'say "x"', "é"]
)
def test_columns_of_any_name_in_double_quotes(tmp_path, name):
    rows = make_rows()[["path", "bytes", "modified", "camid", "time"]].assign(**{name: range(60)})
    people = make_database(tmp_path, rows)
    where = '"' + name.replace('"', '""') + '" >= 58'
    assert people.rows(["path"], where).path.tolist() == rows.path[58:].tolist()
    assert people.remove(where) == 2


TYPES = {
    "int8": (pa.int8(), [1, None, -2], "= 1", "in (1, 5)", "< 0"),
    "uint64": (pa.uint64(), [1, None, 2**63], "= 1", "< 5", "> 9223372036854775807"),
    "float": (pa.float32(), [1.5, None, -0.0], "= 1.5", "> 1", "= 0"),
    "large": (pa.large_string(), ["a", None, "b"], "= 'a'", "like 'a%'", "> 'a'"),
    "category": (pa.dictionary(pa.int32(), pa.string()), ["a", None, "b"], "= 'a'", "in ('a')", "like 'b'"),
    "nanoseconds": (pa.timestamp("ns"), [10**18, None, 10**18 + 1], "= timestamp '2001-09-09 01:46:40'", None, None),
    "milliseconds": (pa.timestamp("ms"), [1, None, 2], "= timestamp '1970-01-01 00:00:00.001'", None, None),
    "date": (
        pa.date32(),
        [1, None, 2],
        "= date '1970-01-02'",
        "< timestamp '1970-01-02 05:00:00'",
        "> date '1970-01-02'",
    ),
}


@pytest.mark.parametrize("kind", TYPES)
def test_columns_of_other_types(tmp_path, kind):
    """The first two conditions hold for the first row, the last one for the third."""
    lancedb = pytest.importorskip("lancedb")
    type_, values, *wheres = TYPES[kind]
    table = lancedb.connect(tmp_path).create_table("t", pa.table({"it": pa.array(values, type_), "n": [0, 1, 2]}))
    for where, expected in zip(wheres, (0, 0, 2), strict=True):
        if where:
            sql = parse_condition(f"it {where}", {"it": type_})
            assert table.search().where(sql).to_arrow()["n"].to_pylist() == [expected]
            sql = parse_condition(f"it is not null and it is distinct from it or it {where}", {"it": type_})
            assert table.search().where(sql).to_arrow()["n"].to_pylist() == [expected]


def test_the_types_of_a_comparison_that_lancedb_refuses_itself(people):
    with pytest.raises(
        InputError, match=r"^The condition 'camid = 2\.5' cannot be used on .*Float64.*its columns are path"
    ):
        people.rows(["path"], "camid = 2.5")
    with pytest.raises(InputError, match="cannot be used on"):
        people.remove("camid = 2.5")
    assert not people.removing  # none has begun


def test_the_times_that_a_condition_takes():
    for text in ("2026-11-24", "20261124", "2026-11-24 00:00", "2026-11-24T02:00:00+02:00", " 2026-11-24 "):
        assert as_time(text) == pd.Timestamp("2026-11-24")
    for text in ("", "soon", "NaT", "2026", "2026-11", "24/11/2026", "0001-01-01"):
        with pytest.raises(ValueError):
            as_time(text)


def test_the_oracle_notices_what_is_dropped(rows):
    """Rows for the half of a condition are not those for the whole of it."""
    oracle = SQLite(rows)
    assert oracle.paths("camid = 2 and path like '%p1%'") < oracle.paths("camid = 2")
    assert oracle.paths("camid = 2 adn path like '%p1%'") is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("x = 0.1", [0]),
        ("not x = 0.1", [1, 2]),
        ("x in (0.1, 3)", [0]),
        ("x not in (0.1, 3)", [1, 2]),
        ("x between 0.1 and 0.15", [0]),
        ("x not between 0.1 and 0.15", [1, 2]),
        ("not x > 0.1", [0, 2]),
        ("x is distinct from 0.1", [1, 2]),
        ("x is not distinct from 0.1", [0]),
        ("(x = 0.1) is true", [0]),
        ("x < 1e300", [0, 1, 2]),
        ("not x > -1e300", []),
    ],
)
def test_numbers_are_those_of_a_column_of_float32(where, expected, tmp_path):
    """LanceDB takes a number as float64 in some places: there 0.1 is none of the column's."""
    lancedb = pytest.importorskip("lancedb")
    values = pa.array([0.1, 0.2, -1], pa.float32())
    table = lancedb.connect(tmp_path).create_table("t", pa.table({"x": values, "n": [0, 1, 2]}))
    condition = parse_condition(where, {"x": pa.float32()})
    assert sorted(table.search().where(condition).to_arrow()["n"].to_pylist()) == expected
