"""What is no curve that rises is no calibration: refused in SQL, in words that say why."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.db.sqlstate import translated
from imgsearch.errors import UsageError
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]
CURVES = {
    "scale, bias": [
        ("'NaN', 0", "finite"),
        ("1, 'NaN'", "finite"),
        ("'Infinity', 0", "finite"),
        ("1, '-Infinity'", "finite"),
        ("0, 0", "above 0"),
        ("1, NULL", "either scale and bias"),
        ("NULL, NULL", "either scale and bias"),
    ],
    "cosines, matches": [
        ("'{0,NaN}', '{0,1}'", "-1 to 1"),
        ("'{0,Infinity}', '{0,1}'", "-1 to 1"),
        ("'{0,1}', '{0,NaN}'", "-1 to 1"),
        ("'{0,1}', '{0,1.5}'", "-1 to 1"),
        ("'{0,NULL}', '{0,1}'", "-1 to 1"),
        ("'{1,0}', '{0,1}'", "cosines rise"),
        ("'{0.5,0.5}', '{0,1}'", "cosines rise"),
        ("'{0,0.5,1}', '{0.5,0.4,1}'", "never fall"),
        ("'{0}', '{0}'", "2 to 1000"),
        ("'{}', '{}'", "2 to 1000"),
        ("'{0,1}', '{0,0.5,1}'", "2 to 1000"),
        ("'{{0,1}}', '{{0,1}}'", "2 to 1000"),
        ("array_fill(0, ARRAY[1001]), array_fill(0, ARRAY[1001])", "2 to 1000"),
        ("'{0,1}', NULL", "cosines and matches"),
    ],
    "scale, bias, error": [("1, 0, 'NaN'", "error lies")],
    "scale, bias, judged": [("1, 0, -1", "judged")],
    "scale, bias, cosines, matches": [("1, 0, '{0,1}', '{0,1}'", "either scale and bias")],
}
WRONG = [(columns, values, said) for columns, rows in CURVES.items() for values, said in rows]


@pytest.mark.parametrize(("columns", "values", "said"), WRONG, ids=[f"{c}: {v}" for c, v, _ in WRONG])
def test_what_is_no_curve_is_refused(
    connection: Connection, space: Space, columns: str, values: str, said: str
) -> None:
    insert = f"INSERT INTO imgsearch.calibration (space_id, kind, {columns}) VALUES (1, 'picture', {values})"  # noqa: S608
    with pytest.raises(UsageError, match=said), translated():
        connection.execute(insert.encode())
    connection.execute(
        "INSERT INTO imgsearch.calibration (space_id, kind, tenant_id, cosines, matches)"
        " VALUES (1, 'picture', 'wrong', '{-1,0,1}', '{0,0,1}')"
    )
    names = columns.split(", ")
    given = ", ".join(f"{n} = DEFAULT" for n in ("scale", "bias", "cosines", "matches") if n not in names)
    update = f"UPDATE imgsearch.calibration SET ({columns}) = ROW({values}){', ' * bool(given)}{given}"  # noqa: S608
    with pytest.raises(UsageError, match=said), translated():
        connection.execute(update.encode())
    left = connection.execute("DELETE FROM imgsearch.calibration WHERE tenant_id = 'wrong' RETURNING cosines")
    assert left.fetchall() == [([-1, 0, 1],)]
