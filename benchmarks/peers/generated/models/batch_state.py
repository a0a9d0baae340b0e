from enum import StrEnum


class BatchState(StrEnum):
    FAILED = "FAILED"
    PARTIAL = "PARTIAL"
    QUEUED = "QUEUED"
    SUCCESS = "SUCCESS"

    def __str__(self) -> str:
        return str(self.value)
