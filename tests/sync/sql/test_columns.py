from __future__ import annotations

from decimal import Decimal

import pytest

from amili_async.sync._sql.columns import POSTGRESQL, SQLITE, Values


@pytest.mark.parametrize("values", [SQLITE, POSTGRESQL])
@pytest.mark.parametrize("amount", ["1" * 20_000, "1e20000", "1e-20000", "NaN"])
def test_an_amount_that_no_column_takes_is_refused_before_its_page_is_written(values: Values, amount: str) -> None:
    with pytest.raises(ValueError, match="too many digits"):
        values.number(Decimal(amount))


@pytest.mark.parametrize(("values", "kept"), [(SQLITE, "4500.10"), (POSTGRESQL, Decimal("4500.10"))])
def test_any_other_amount_keeps_its_digits(values: Values, kept: object) -> None:
    assert values.number(Decimal("4500.10")) == kept
    assert values.number(None) is None
