from enum import StrEnum


class BatchType(StrEnum):
    INVOICE = "INVOICE"
    NONE = "NONE"
    PAYMENT = "PAYMENT"

    def __str__(self) -> str:
        return str(self.value)
