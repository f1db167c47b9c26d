"""Conditions: what they may say, and the SQL that LanceDB gets for them.

LanceDB reads the first whole expression of a text and drops the rest: of "camid = 2 adn path = 'a.jpg'" it takes
"camid = 2". So a condition is parsed here, as exactly one boolean expression over the columns of a database, and
written anew from what was parsed, with parentheses around every part: nothing can be dropped, and no precedence can
differ. The parser skips some faults, so what it read must also have the words of the text. What LanceDB would take for
something else is refused too: it cuts a time to the unit of the column that it is compared with, rounds the whole
numbers of one column to compare them with another's fractions, its whole numbers wrap round at 64 bits, and its 0 / 0
is more than any number, so nothing is computed.
"""

import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, NoReturn

import pyarrow as pa
import sqlglot
from sqlglot import ErrorLevel, ParseError, Token, TokenType, exp
from sqlglot.errors import SqlglotError

from hacnn_tf.gallery.times import as_time
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview

MAX_TERMS = 1_000  # joined by "and" and "or"; with some ten thousands LanceDB overflows its stack
MAX_DEPTH = 20  # of parentheses in what LanceDB gets; with 25 around "not" it takes that for a function
SHOWN_COLUMNS, SHOWN_TEXT, SHOWN_PART = 10, 200, 60  # in a sentence: columns, and characters

SQL = sqlglot.Dialect.get_or_raise(None)
QUOTES = {TokenType.STRING: "'", TokenType.IDENTIFIER: '"'}
SYNONYMS = {TokenType.EQ: "=", TokenType.NEQ: "<>"}
UNCOUNTED = ("(", ")", "cast", "as")  # timestamp '2026-11-24' is cast('2026-11-24' as timestamp)
COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
DISTINCT = {exp.NullSafeEQ: "{}", exp.NullSafeNEQ: "(NOT {})"}
TEXT_TESTS: dict[type[exp.Expr], str] = {
    exp.Like: "({} LIKE {})",
    exp.ILike: "({} ILIKE {})",
    exp.StartsWith: "starts_with({}, {})",
    exp.Contains: "contains({}, {})",
    exp.RegexpLike: "regexp_like({}, {})",
}
CASES = {exp.Lower: "lower", exp.Upper: "upper"}
FUNCTIONS = "lower, upper, starts_with, contains, regexp_like, cast and date_part"
# dow is the day of the week, from 0 for Sunday
DATE_PARTS = tuple(map(exp.Literal.string, ("year", "month", "day", "hour", "minute", "dow")))

TRUTH, NUMBER, TEXT, TIME = "true or false", "a number", "a text", "a time"
KINDS = {
    TRUTH: (pa.types.is_boolean,),
    NUMBER: (pa.types.is_integer, pa.types.is_floating),
    TEXT: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    TIME: (pa.types.is_date, lambda column: pa.types.is_timestamp(column) and column.tz is None),
}
UNITS = ("s", "ms", "us", "ns")
FLOAT_BITS = {16: 11, 32: 24, 64: 53}  # up to which a float has every whole number


class Condition(NamedTuple):
    """A condition, as who searches wrote it and as LanceDB gets it."""

    text: str
    sql: str


def parse_condition(text: str, columns: Mapping[str, pa.DataType]) -> str:
    """The SQL by which LanceDB filters as a condition says.

    A condition compares columns and values (`=`, `!=`, `<`, `<=`, `>`, `>=`, `between`, `in`, `like`, `ilike`,
    `is [not] null`, `is [not] true`, `is [not] distinct from`), joined by `and`, `or`, `not` and parentheses. Texts
    stand in single quotes; times are `timestamp '2026-11-24 15:30:00'`, days `date '2026-11-24'`. Its functions are
    `lower`, `upper`, `starts_with`, `contains`, `regexp_like`, `cast(time as date)` and `date_part('hour', time)`.

    Args:
        text: the condition.
        columns: types of columns by their exact names.

    Raises:
        InputError: it is anything else; says what is wrong, and where.
    """
    try:
        tree, tokens = _parse(text)
        if sum(1 for _ in tree.find_all(exp.Connector)) >= MAX_TERMS:
            _refuse(f"it joins more than {MAX_TERMS:,} parts by and/or; for many values write camid in (1, 2, 3)")
        sql = _Writer(columns).condition(tree)
        _check_tokens(tokens, tree)
        if _depth(sql) > MAX_DEPTH:
            raise RecursionError
        return sql
    except _RefusedError as reason:
        raise InputError(f"The condition {shown(text)} cannot be used: {reason}.") from None
    except RecursionError:
        raise InputError(f"The condition {shown(text)} cannot be used: its parts are nested too deeply.") from None


def sql_literal(text: str) -> str:
    """A text as a literal of a condition."""
    return "'" + text.replace("'", "''") + "'"


def shown(text: str, characters: int = SHOWN_TEXT) -> str:
    """A text as a sentence quotes it."""
    return repr(text[:characters] + "..." * (len(text) > characters))


class _RefusedError(Exception):
    """Why a condition cannot be used, as the end of a sentence."""


def _refuse(reason: str) -> NoReturn:
    raise _RefusedError(reason)


def _parse(text: str) -> tuple[exp.Expr, list[Token]]:
    """The tree of the one expression that a text is, and its tokens."""
    try:
        tokens = SQL.tokenize(text)
        trees = SQL.parser().parse_into(exp.Condition, tokens, text)
    except ParseError as error:
        place = error.errors[0]
        before = place["start_context"][-SHOWN_PART:].strip()
        _refuse(
            f"it is not one whole condition at {shown(place['highlight'], SHOWN_PART)}"
            + (f", after {before!r}" if before else "")
        )
    except SqlglotError:
        _refuse("a quote is not closed")
    for token in tokens:
        if token.comments:
            _refuse(f"it has a comment, {shown(token.comments[0].strip(), SHOWN_PART)}")
    if len(trees) != 1 or (tree := trees[0]) is None:
        _refuse("it is not one whole condition" if tokens else "it says nothing")
    return tree, tokens


def _check_tokens(tokens: Sequence[Token], tree: exp.Expr) -> None:
    """Refuses what the parser has skipped, added or taken for another word, as the second comma in `in (1,, 2)`."""
    if sum((token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN) for token in tokens):
        _refuse("a parenthesis is missing or too many")
    for token, following in pairwise(tokens):
        if (token.token_type, following.token_type) == (TokenType.NOT, TokenType.IS):
            _refuse("not stands before is; write is not")
    said, read = _words(tokens), _words(SQL.tokenize(_source(tree, characters=None)))
    for word in said - read:
        _refuse(f"{shown(word, SHOWN_PART)} has no place in it" + (", or is there too often" if word in read else ""))
    for word in read - said:
        _refuse(f"{shown(word, SHOWN_PART)} is missing")


def _words(tokens: Sequence[Token]) -> Counter[str]:
    """How often each word or sign is there."""
    return Counter(word for word in map(_word, tokens) if word not in UNCOUNTED)


def _word(token: Token) -> str:
    quote = QUOTES.get(token.token_type)
    return f"{quote}{token.text}{quote}" if quote else SYNONYMS.get(token.token_type, token.text.lower())


def _depth(sql: str) -> int:
    """How deep its parentheses are nested."""
    return max(accumulate((char == "(") - (char == ")") for char in re.sub(r"'[^']*'", "", sql)))


class _Value(NamedTuple):
    """What is compared: its SQL, its type, and whether it is a literal."""

    sql: str
    type: pa.DataType
    literal: bool = False

    @property
    def kind(self) -> str:
        """What it is, in words; one of `KINDS` if it can be compared."""
        type_ = self.type.value_type if pa.types.is_dictionary(self.type) else self.type
        return next((kind for kind, tests in KINDS.items() if any(test(type_) for test in tests)), f"of type {type_}")


class _Writer:
    """Writes the SQL of what was parsed, and refuses whatever is not named here."""

    def __init__(self, columns: Mapping[str, pa.DataType]) -> None:
        self._columns = columns

    def condition(self, node: exp.Expr) -> str:
        """What is true, false or unknown."""
        kind = type(node)
        if kind is exp.Paren:
            return self.condition(*_parts(node, "this"))
        if kind in (exp.And, exp.Or):
            return "(" + f" {kind.__name__.upper()} ".join(map(self.condition, node.flatten(unnest=False))) + ")"
        if kind is exp.Not:
            return f"(NOT {self.condition(*_parts(node, 'this'))})"
        if kind is exp.Is:
            return self._is(*_parts(node, "this", "expression"))
        if kind in COMPARISONS:
            one, other = self._compared(node, *_parts(node, "this", "expression"))
            return f"({one} {COMPARISONS[kind]} {other})"
        if kind in DISTINCT:  # LanceDB does not have it
            one, other = self._compared(node, *_parts(node, "this", "expression"))
            return DISTINCT[kind].format(f"((({one} = {other}) IS TRUE) OR (({one} IS NULL) AND ({other} IS NULL)))")
        if kind is exp.Between:
            value, low, high = self._compared(node, *_parts(node, "this", "low", "high"))
            return f"({value} BETWEEN {low} AND {high})"
        if kind is exp.In:
            of, choices = _parts(node, "this", "expressions")
            value, *others = self._compared(node, of, *(choices or _refuse(f"{_source(node)} names no values")))
            return f"({value} IN ({', '.join(others)}))"
        if kind in TEXT_TESTS:
            return self._text_test(node, TEXT_TESTS[kind])
        truth = self.value(node)
        if truth.kind != TRUTH:
            _refuse(f"{_source(node)} is {truth.kind}, which by itself is neither true nor false")
        return truth.sql

    def value(self, node: exp.Expr) -> _Value:
        """What can be compared."""
        kind = type(node)
        if kind is exp.Paren:
            return self.value(*_parts(node, "this"))
        if kind is exp.Column:
            return self._column(node)
        if kind is exp.Literal:
            return _literal(node)
        if kind is exp.Boolean:
            return _Value(node.sql(), pa.bool_(), literal=True)
        if kind is exp.Null:
            _refuse("nothing equals null; write is null or is not null")
        if kind is exp.Neg:
            return _negative(*_parts(node, "this"))
        if kind in CASES:
            (text,) = _parts(node, "this")
            return _Value(f"{CASES[kind]}({self._of_kind(TEXT, text).sql})", pa.string())
        if kind is exp.Cast:
            return self._cast(node)
        if kind is exp.Anonymous and node.name.lower() == "date_part":
            return self._date_part(node)
        if isinstance(node, exp.Func) and not isinstance(node, exp.Predicate):
            _refuse(f"{_source(node)} is none of the functions {FUNCTIONS}")
        _refuse(f"{_source(node)} cannot be compared")

    def _is(self, node: exp.Expr, state: exp.Expr) -> str:
        if isinstance(state, exp.Null):
            return f"({self.value(node).sql} IS NULL)"
        if isinstance(state, exp.Boolean):
            return f"({self.condition(node)} IS {state.sql()})"
        _refuse(f"after is stands null, true, false or distinct from, and not {_source(state)}")

    def _compared(self, whole: exp.Expr, *nodes: exp.Expr) -> list[str]:
        """The SQL of values that can be compared with each other."""
        values = [self.value(node) for node in nodes]
        for node, value in zip(nodes, values, strict=True):
            if value.kind not in KINDS:
                _refuse(f"{_source(node)} is {value.kind}, which can only be tested by is null")
            if value.kind != values[0].kind:
                hint = "; write timestamp '2026-11-24 15:30:00'" if {value.kind, values[0].kind} == {TEXT, TIME} else ""
                _refuse(f"{_source(nodes[0])} is {values[0].kind} and {_source(node)} is {value.kind}{hint}")
        _check_units(whole, values)
        _check_numbers(whole, values)
        if any(value.type == pa.float32() for value in values):  # elsewhere than in = and < LanceDB compares as float64
            return [_as_float32(value) if value.literal else value.sql for value in values]
        return [value.sql for value in values]

    def _text_test(self, node: exp.Expr, test: str) -> str:
        text, pattern, negate = _parts(node, "this", "expression", "negate")
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            _refuse(f"the pattern in {_source(node)} must be a text in single quotes")
        if type(node) in (exp.Like, exp.ILike) and "\\" in pattern.name:  # LanceDB would skip it, SQL would not
            _refuse(f"the pattern in {_source(node)} has a backslash; use starts_with or contains")
        sql = test.format(*(self._of_kind(TEXT, part).sql for part in (text, pattern)))
        return f"(NOT {sql})" if negate else sql

    def _of_kind(self, kind: str, node: exp.Expr) -> _Value:
        value = self.value(node)
        if value.kind != kind:
            _refuse(f"{_source(node)} is {value.kind}, where {kind} is needed")
        return value

    def _column(self, node: exp.Expr) -> _Value:
        (identifier,) = _parts(node, "this")
        name = identifier.name
        if name not in self._columns or not isinstance(identifier, exp.Identifier):
            near = [column for column in self._columns if column.lower() == name.lower()]
            _refuse(
                f"there is no column {_source(node)}"
                + (f", but {near[0]}" if near else f"; the columns are {preview(self._columns, most=SHOWN_COLUMNS)}")
                + ("; texts stand in single quotes" if identifier.args.get("quoted") else "")
            )
        return _Value('"' + name.replace('"', '""') + '"', self._columns[name])

    def _cast(self, node: exp.Expr) -> _Value:
        of, to = _parts(node, "this", "to")
        (name,) = _parts(to, "this")
        if isinstance(of, exp.Literal) and of.is_string and name in (exp.DType.TIMESTAMP, exp.DType.DATE):
            return _time(of.name) if name == exp.DType.TIMESTAMP else _day(of.name)
        if name != exp.DType.DATE:
            _refuse(f"{_source(node)} cannot be used: only times can be cast, to date")
        return _Value(f"cast({self._of_kind(TIME, of).sql} AS date)", pa.date32())

    def _date_part(self, node: exp.Expr) -> _Value:
        _, arguments = _parts(node, "this", "expressions")
        if len(arguments) != 2 or arguments[0] not in DATE_PARTS:
            _refuse(f"{_source(node)} takes one of the parts {', '.join(part.name for part in DATE_PARTS)} and a time")
        part, time = arguments
        return _Value(f"date_part({sql_literal(part.name)}, {self._of_kind(TIME, time).sql})", pa.int16())


def _parts(node: exp.Expr, *names: str) -> list:
    """Those parts of a node; refuses it if it has others."""
    if [name for name, part in node.args.items() if name not in names and part not in (None, False, [])]:
        _refuse(f"{_source(node)} cannot be used")
    return [node.args.get(name) for name in names]


def _source(node: exp.Expr, characters: int | None = SHOWN_PART) -> str:
    """A part of a condition as it was read, for a sentence."""
    text = node.sql(SQL, unsupported_level=ErrorLevel.IGNORE)
    return text if characters is None or len(text) <= characters else text[:characters] + "..."


def _literal(node: exp.Expr) -> _Value:
    if node.is_string:
        return _Value(sql_literal(node.name), pa.string(), literal=True)
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", node.name):
        _refuse(f"{_source(node)} is no number")
    return _Value(node.name, pa.int64() if node.name.isdigit() else pa.float64(), literal=True)


def _as_float32(number: _Value) -> str:
    """A literal by the value that a column of float32 has for it, if it has one."""
    try:
        return repr(struct.unpack("<f", struct.pack("<f", float(number.sql)))[0])
    except OverflowError:
        return number.sql


def _negative(node: exp.Expr) -> _Value:
    if not isinstance(node, exp.Literal) or node.is_string:
        _refuse(f"-{_source(node)} is no number")
    value = _literal(node)
    return value._replace(sql=f"-{value.sql}") if float(value.sql) else value  # LanceDB takes -0.0 for less than 0.0


def _time(text: str) -> _Value:
    try:
        time = as_time(text)
    except ValueError:
        _refuse(f"{shown(text, SHOWN_PART)} is no time from 1678 to 2261; write timestamp '2026-11-24 15:30:00'")
    if time.nanosecond:
        _refuse(f"{shown(text, SHOWN_PART)} is finer than a microsecond")
    unit = next(unit for unit in UNITS if time == time.floor(unit))
    return _Value(f"timestamp '{time.isoformat(' ', 'microseconds')}'", pa.timestamp(unit), literal=True)


def _day(text: str) -> _Value:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        _refuse(f"{shown(text, SHOWN_PART)} is no day; write date '2026-11-24'")
    try:
        return _Value(f"date '{as_time(text):%Y-%m-%d}'", pa.date32(), literal=True)
    except ValueError:
        _refuse(f"{shown(text, SHOWN_PART)} is no day; write date '2026-11-24'")


def _check_units(node: exp.Expr, values: Sequence[_Value]) -> None:
    """LanceDB cuts a literal to the unit of the column: of seconds, 08:00:00 would equal 08:00:00.5."""
    units = {(value.literal, UNITS.index(value.type.unit)) for value in values if pa.types.is_timestamp(value.type)}
    if any(literal and not other and fine > coarse for literal, fine in units for other, coarse in units):
        _refuse(f"a time in {_source(node)} is finer than those of the column")
    if sum(not literal for literal, _ in units) > 1:
        _refuse(f"the columns in {_source(node)} have times of different units; compare each with a timestamp")


def _check_numbers(node: exp.Expr, values: Sequence[_Value]) -> None:
    """LanceDB rounds a column of whole numbers to another's fractions: 20260001 would equal a float32 of 20260000."""
    types = [value.type for value in values if not value.literal]
    whole = [type_.bit_width - pa.types.is_signed_integer(type_) for type_ in types if pa.types.is_integer(type_)]
    if max(whole, default=0) > min((FLOAT_BITS[t.bit_width] for t in types if pa.types.is_floating(t)), default=64):
        _refuse(f"the columns in {_source(node)} have whole numbers and fractions; compare each with a number")
