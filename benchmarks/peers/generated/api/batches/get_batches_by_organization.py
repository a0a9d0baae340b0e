from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.batch_page import BatchPage
from ...types import UNSET, Response, Unset


def _get_kwargs(
    organization_id: str,
    *,
    state: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_token: str | Unset = UNSET,
    page_size: int | Unset = UNSET,
    sort_direction: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["State"] = state

    params["Type"] = type_

    params["PageToken"] = page_token

    params["PageSize"] = page_size

    params["SortDirection"] = sort_direction

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/orgs/{organization_id}/batches".format(
            organization_id=quote(str(organization_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> BatchPage | None:
    if response.status_code == 200:
        response_200 = BatchPage.from_dict(response.json())

        return response_200

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[BatchPage]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    organization_id: str,
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_token: str | Unset = UNSET,
    page_size: int | Unset = UNSET,
    sort_direction: str | Unset = UNSET,
) -> Response[BatchPage]:
    """
    Args:
        organization_id (str):
        state (str | Unset):
        type_ (str | Unset):
        page_token (str | Unset):
        page_size (int | Unset):
        sort_direction (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BatchPage]
    """

    kwargs = _get_kwargs(
        organization_id=organization_id,
        state=state,
        type_=type_,
        page_token=page_token,
        page_size=page_size,
        sort_direction=sort_direction,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    organization_id: str,
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_token: str | Unset = UNSET,
    page_size: int | Unset = UNSET,
    sort_direction: str | Unset = UNSET,
) -> BatchPage | None:
    """
    Args:
        organization_id (str):
        state (str | Unset):
        type_ (str | Unset):
        page_token (str | Unset):
        page_size (int | Unset):
        sort_direction (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BatchPage
    """

    return sync_detailed(
        organization_id=organization_id,
        client=client,
        state=state,
        type_=type_,
        page_token=page_token,
        page_size=page_size,
        sort_direction=sort_direction,
    ).parsed


async def asyncio_detailed(
    organization_id: str,
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_token: str | Unset = UNSET,
    page_size: int | Unset = UNSET,
    sort_direction: str | Unset = UNSET,
) -> Response[BatchPage]:
    """
    Args:
        organization_id (str):
        state (str | Unset):
        type_ (str | Unset):
        page_token (str | Unset):
        page_size (int | Unset):
        sort_direction (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BatchPage]
    """

    kwargs = _get_kwargs(
        organization_id=organization_id,
        state=state,
        type_=type_,
        page_token=page_token,
        page_size=page_size,
        sort_direction=sort_direction,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    organization_id: str,
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_token: str | Unset = UNSET,
    page_size: int | Unset = UNSET,
    sort_direction: str | Unset = UNSET,
) -> BatchPage | None:
    """
    Args:
        organization_id (str):
        state (str | Unset):
        type_ (str | Unset):
        page_token (str | Unset):
        page_size (int | Unset):
        sort_direction (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BatchPage
    """

    return (
        await asyncio_detailed(
            organization_id=organization_id,
            client=client,
            state=state,
            type_=type_,
            page_token=page_token,
            page_size=page_size,
            sort_direction=sort_direction,
        )
    ).parsed
