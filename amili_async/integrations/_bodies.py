"""Models in the signatures of a FastAPI app: how a body is read as one, and what OpenAPI says of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_origin

from fastapi import HTTPException
from pydantic_core import PydanticCustomError, core_schema

from amili_async._decoding import decode
from amili_async._upstream.pydantic import described, reference
from amili_async.errors import ConfigurationError, DecodeError, InvalidArgumentError
from amili_async.integrations.json_schema import annotated_schema, is_named, schema_of
from amili_async.models._base import fields_of
from amili_async.models._request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

EXACT_DIGITS = 15
"""The digits of a number that a float surely keeps: FastAPI reads numbers as floats before anything else sees them."""


class ModelBody:
    """What FastAPI is told of a parameter: it is read as a model, or as a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, _: object) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_checked, core_of(source, read_body))


def answer_core(source: Any) -> CoreSchema:
    """Return what FastAPI is told of ``AmiliResponse[...]``."""
    return core_of(get_args(source)[0], _refuse)


def core_of(kind: Any, read: Callable[[Any, object], object]) -> CoreSchema:
    """Return the core schema of a model, or of several, each read by a function of its class and value."""
    if not is_named(kind) and isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Sequence):
        return core_schema.list_schema(core_of(get_args(kind)[0], read))

    def describe(handler: GetJsonSchemaHandler) -> dict[str, Any]:
        def refer(named: type) -> dict[str, Any]:
            return reference(handler, core_of(named, read))

        return schema_of(kind, refer) if is_named(kind) else annotated_schema(kind, refer)

    name = f"{kind.__module__}.{kind.__qualname__}:{id(kind)}" if is_named(kind) else None
    return described(lambda value: read(kind, value), describe, name=name)


def _refuse(_: object, value: object) -> NoReturn:
    raise ConfigurationError(f"the route must return AmiliResponse(...), not {type(value).__name__}")


def read_body(kind: Any, value: Any) -> object:
    """Return the model that a body's JSON makes; what no field of a request names goes into its ``extra``.

    Raises:
        PydanticCustomError: it makes none; FastAPI answers 422 and says why.
    """
    text = json.dumps(value)
    if "NaN" in text or "Infinity" in text:
        _refuse_nan(value)
    try:
        return _made(kind, json.loads(text, parse_float=_exact)) if issubclass(kind, Request) else decode(text, kind)
    except InvalidArgumentError as error:
        raise _refused("; ".join(error.problems)) from None
    except DecodeError as error:
        raise _refused(error.message.replace("the answer", "the body", 1)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(str(error)) from None


def _checked(value: Any) -> Any:
    """Return a body if it is JSON, and nothing in it keeps FastAPI from showing it in a refusal, at which it fails."""
    if isinstance(value, bytes):
        raise HTTPException(422, "the body was not sent as JSON: give it the header Content-Type: application/json")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise HTTPException(422, "half a character is no text") from None
    return value


def _refuse_nan(value: object) -> None:
    """Refuse what Python reads and no JSON is; FastAPI shows the input of any other refusal, and fails at that one."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise HTTPException(422, "NaN and Infinity are no JSON") from None


def _made(kind: type[Request], members: Any) -> Request:
    if not isinstance(members, dict):
        raise ValueError(f"{kind.__name__} must be an object")  # noqa: TRY004  # of what a caller sent, not of ours
    names = {field.encode_name: field.name for field in fields_of(kind) if field.name != "extra"}
    given: dict[str, Any] = {**members}
    values = {names[name]: given.pop(name) for name in names if name in given}
    return kind(**values, extra=given)


def _exact(digits: str) -> Decimal:
    number = Decimal(digits)
    if len(number.as_tuple().digits) > EXACT_DIGITS:
        raise ValueError(f"a number of more than {EXACT_DIGITS} digits cannot be read exactly")
    return number


def _refused(problem: str) -> PydanticCustomError:
    return PydanticCustomError("amili_model", "{problem}", {"problem": problem})
