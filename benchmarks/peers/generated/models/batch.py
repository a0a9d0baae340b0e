from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.batch_state import BatchState
from ..models.batch_type import BatchType
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.failed_entry import FailedEntry
    from ..models.invoice_success import InvoiceSuccess
    from ..models.payment_success import PaymentSuccess


T = TypeVar("T", bound="Batch")


@_attrs_define
class Batch:
    """
    Attributes:
        batch_id (str):
        type_ (BatchType):
        status (BatchState):
        created_at (datetime.datetime):
        organization_id (str):
        created_by (str):
        succeeded (list[InvoiceSuccess | PaymentSuccess]):
        failed (list[FailedEntry]):
        finished_at (datetime.datetime | None | Unset):
    """

    batch_id: str
    type_: BatchType
    status: BatchState
    created_at: datetime.datetime
    organization_id: str
    created_by: str
    succeeded: list[InvoiceSuccess | PaymentSuccess]
    failed: list[FailedEntry]
    finished_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.invoice_success import InvoiceSuccess

        batch_id = self.batch_id

        type_ = self.type_.value

        status = self.status.value

        created_at = self.created_at.isoformat()

        organization_id = self.organization_id

        created_by = self.created_by

        succeeded = []
        for succeeded_item_data in self.succeeded:
            succeeded_item: dict[str, Any]
            if isinstance(succeeded_item_data, InvoiceSuccess):
                succeeded_item = succeeded_item_data.to_dict()
            else:
                succeeded_item = succeeded_item_data.to_dict()

            succeeded.append(succeeded_item)

        failed = []
        for failed_item_data in self.failed:
            failed_item = failed_item_data.to_dict()
            failed.append(failed_item)

        finished_at: None | str | Unset
        if isinstance(self.finished_at, Unset):
            finished_at = UNSET
        elif isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "batchId": batch_id,
                "type": type_,
                "status": status,
                "createdAt": created_at,
                "organizationId": organization_id,
                "createdBy": created_by,
                "succeeded": succeeded,
                "failed": failed,
            }
        )
        if finished_at is not UNSET:
            field_dict["finishedAt"] = finished_at

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.failed_entry import FailedEntry
        from ..models.invoice_success import InvoiceSuccess
        from ..models.payment_success import PaymentSuccess

        d = dict(src_dict)
        batch_id = d.pop("batchId")

        type_ = BatchType(d.pop("type"))

        status = BatchState(d.pop("status"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        organization_id = d.pop("organizationId")

        created_by = d.pop("createdBy")

        succeeded = []
        _succeeded = d.pop("succeeded")
        for succeeded_item_data in _succeeded:

            def _parse_succeeded_item(data: object) -> InvoiceSuccess | PaymentSuccess:
                try:
                    if not isinstance(data, dict):
                        raise TypeError()
                    succeeded_item_type_0 = InvoiceSuccess.from_dict(data)

                    return succeeded_item_type_0
                except (TypeError, ValueError, AttributeError, KeyError):
                    pass
                if not isinstance(data, dict):
                    raise TypeError()
                succeeded_item_type_1 = PaymentSuccess.from_dict(data)

                return succeeded_item_type_1

            succeeded_item = _parse_succeeded_item(succeeded_item_data)

            succeeded.append(succeeded_item)

        failed = []
        _failed = d.pop("failed")
        for failed_item_data in _failed:
            failed_item = FailedEntry.from_dict(failed_item_data)

            failed.append(failed_item)

        def _parse_finished_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                finished_at_type_0 = datetime.datetime.fromisoformat(data)

                return finished_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        finished_at = _parse_finished_at(d.pop("finishedAt", UNSET))

        batch = cls(
            batch_id=batch_id,
            type_=type_,
            status=status,
            created_at=created_at,
            organization_id=organization_id,
            created_by=created_by,
            succeeded=succeeded,
            failed=failed,
            finished_at=finished_at,
        )

        batch.additional_properties = d
        return batch

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
