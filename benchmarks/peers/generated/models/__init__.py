"""Contains all the data models used in inputs/outputs"""

from .batch import Batch
from .batch_page import BatchPage
from .batch_state import BatchState
from .batch_type import BatchType
from .failed_entry import FailedEntry
from .invoice_success import InvoiceSuccess
from .payment_success import PaymentSuccess
from .summary import Summary

__all__ = (
    "Batch",
    "BatchPage",
    "BatchState",
    "BatchType",
    "FailedEntry",
    "InvoiceSuccess",
    "PaymentSuccess",
    "Summary",
)
