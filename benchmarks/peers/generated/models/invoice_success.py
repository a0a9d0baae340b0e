from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    Literal,
    Self,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="InvoiceSuccess")


@_attrs_define
class InvoiceSuccess:
    """
    Attributes:
        type_ (Literal['invoiceSuccess']):
        invoice_id (str):
        invoice_number (str):
        case_id (str):
    """

    type_: Literal["invoiceSuccess"]
    invoice_id: str
    invoice_number: str
    case_id: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        invoice_id = self.invoice_id

        invoice_number = self.invoice_number

        case_id = self.case_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "$type": type_,
                "invoiceId": invoice_id,
                "invoiceNumber": invoice_number,
                "caseId": case_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        type_ = cast(Literal["invoiceSuccess"], d.pop("$type"))
        if type_ != "invoiceSuccess":
            raise ValueError(f"$type must match const 'invoiceSuccess', got '{type_}'")

        invoice_id = d.pop("invoiceId")

        invoice_number = d.pop("invoiceNumber")

        case_id = d.pop("caseId")

        invoice_success = cls(
            type_=type_,
            invoice_id=invoice_id,
            invoice_number=invoice_number,
            case_id=case_id,
        )

        invoice_success.additional_properties = d
        return invoice_success

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
