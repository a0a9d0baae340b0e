from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox._seed_data import FAILED, PARTIAL, QUEUED, SUCCESS, SeedData

WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2, 1)


def seed_data(*, batches: int = 60, entries: int = 12, seed: int = 1, organizations: int = 5) -> SeedData:
    return SeedData(seed=seed, organizations=organizations, batches=batches, entries=entries)


@given(st.integers(0, 10**6))
def test_organization_numbers_check_themselves(index: int) -> None:
    number = seed_data().organization(index).number
    assert len(number) == 9
    assert sum(int(digit) * weight for digit, weight in zip(number, WEIGHTS, strict=True)) % 11 == 0


def test_organizations_have_norwegian_names() -> None:
    names = [seed_data().organization(index).name for index in range(200)]
    assert all(name.endswith(" AS") for name in names)
    assert len(set(names)) > 100
    assert any(set("æøåÆØÅ") & set(name) for name in names)


@given(st.integers(1, 5000), st.integers(1, 40))
def test_batches_are_made_one_after_the_other_and_no_two_organizations_make_one_at_once(
    batches: int, organizations: int
) -> None:
    made = seed_data(batches=batches, organizations=organizations)
    moments = [
        made.created_at(organization, sequence)
        for sequence in range(min(batches, 4))
        for organization in range(organizations)
    ]
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)


@given(st.integers(0, 3), st.integers(0, 59), st.integers(0, 30), st.integers(0, 99))
def test_a_batch_is_what_its_entries_make_it(index: int, sequence: int, entries: int, seed: int) -> None:
    made = seed_data(entries=entries, seed=seed)
    batch = made.batch(made.organization(index), sequence)
    assert batch == made.batch(made.organization(index), sequence)
    succeeded, failed = made.successes(batch), made.failures(batch)
    if batch.state == QUEUED:
        assert sequence == 59
        assert batch.finished_at is None
        assert not succeeded
        assert not failed
        batch = made.batch(made.organization(index), sequence, finished=True)
        succeeded, failed = made.successes(batch), made.failures(batch)
    assert len(succeeded) + len(failed) == batch.lines <= 2 * entries
    assert len(failed) == batch.failures
    if not failed:
        assert batch.state == SUCCESS
    else:
        assert batch.state == (PARTIAL if succeeded else FAILED)
    assert batch.finished_at is not None
    assert batch.finished_at > batch.created_at


def test_payments_pay_for_invoices_that_exist() -> None:
    made = seed_data(batches=200)
    organization = made.organization(0)
    batches = [made.batch(organization, sequence) for sequence in range(200)]
    invoices = {entry.invoice_id for batch in batches if batch.type == "INVOICE" for entry in made.successes(batch)}
    payments = [entry for batch in batches if batch.type == "PAYMENT" for entry in made.successes(batch)]
    assert payments
    assert {payment.invoice_id for payment in payments} <= invoices
    assert len({payment.own_id for payment in payments}) == len(payments)


def test_a_payment_before_all_invoices_pays_for_something_all_the_same() -> None:
    made = seed_data()
    batch = made.batch(made.organization(0), 0, finished=True)._replace(
        type="PAYMENT", state=SUCCESS, failures=0, lines=1
    )
    assert made.successes(batch)[0].tag == "paymentSuccess"


def test_invoices_look_like_life() -> None:
    made = seed_data(batches=200)
    organization = made.organization(0)
    batch = made.batch(organization, 10, finished=True)._replace(lines=300)
    invoices = [made.invoice(batch, entry) for entry in range(300)]
    assert {invoice.status for invoice in invoices} == {"OPEN", "CLOSED"}
    assert {invoice.type for invoice in invoices} == {"NOTICE", "PAYMENT_REMINDER", "COLLECTION_NOTICE"}
    assert all(0 <= invoice.paid <= invoice.amount for invoice in invoices)
    assert all(invoice.invoice_date < invoice.due_date for invoice in invoices)
    assert 100_000 < sorted(invoice.amount for invoice in invoices)[150] < 400_000
    assert len({invoice.last_name for invoice in invoices}) > 20
