"""A job over one server and one store on virtual time, to be made wrong in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async import AmiliClient, ClientCredentials
from amili_async import _clock as clock_module
from amili_async.sync import ClientPool, SyncReport, sync
from tests.simulation.history import HOUR, ROOT
from tests.simulation.server import CollectionServer, List, Resource
from tests.simulation.store import Store
from tests.simulation.wire import session
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from amili_async.sandbox import VirtualClock
    from amili_async.sync._dask.slots import WorkerSlot


class Job:
    """A job over one server and one store; every run is a process of its own."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.server = CollectionServer(clock.time)
        self.store = Store()
        self.at_work: list[AmiliClient] = []
        """The clients of the runs that go on."""

    def list_of(self, organization_id: str = "one", resource: Resource = "batches", *, rows: int = 0) -> List:
        made = self.server.list_of(organization_id, resource)
        made.page_size = 100
        for number in range(rows):
            made.add(self.server.now - (rows - number) * HOUR)
        return made

    async def run(
        self,
        *organizations: str,
        resource: Resource = "batches",
        clients: bool = False,
        slot: WorkerSlot | None = None,
        **options: object,
    ) -> SyncReport:
        """Run once; ``slot``: as a shard that is worked on there."""
        names = list(organizations or ("one",))
        async with session(self.server) as opened:
            settings = {"base_url": ROOT, "token_url": f"{ROOT}/token", "session": opened, "trust_env": False}
            if clients:
                owners = {name: name.partition("-")[0] for name in names}
                made = {owner: ClientCredentials(owner, "secret") for owner in owners.values()}
                credentials = {name: made[owner] for name, owner in owners.items()}
                async with ClientPool(credentials, **settings) as pool:  # type: ignore[arg-type]  # as they are
                    return await sync(None, names, self.store, clients=pool, **options)  # type: ignore[arg-type]  # the same
            async with AmiliClient(ClientCredentials("client", "secret"), **settings) as client:  # type: ignore[arg-type]  # the same
                self.at_work.append(client)
                if slot is not None:
                    slot.pace = client.caller.transport.limits.go_on(slot.pace)
                try:
                    return await sync(client, names, self.store, resources=[resource], **options)  # type: ignore[arg-type]  # the same
                finally:
                    self.at_work.remove(client)

    def missing(self, organization_id: str = "one", resource: Resource = "batches") -> list[str]:
        there = self.server.list_of(organization_id, resource).rows
        return sorted(there.keys() - self.store.of(organization_id, resource).rows.keys())


def on_virtual_time(work: Callable[[Job], Coroutine[None, None, None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        with clock_module.installed(clock):
            await work(Job(clock))

    run(main)
