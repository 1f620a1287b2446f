"""Synchronous calls of several tenants: a process of one's own, bounded queues, nobody starves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import shapes
from api.running import Running, running
from jobs.server import until
from mho.jobs.serving import desks
from mho.jobs.serving.turns import Turns
from mho.types import Array
from mho_client import Attribution, Client, MhoClientError, Model
from mho_client.attributions import put_inputs
from mho_client.v1 import attributions_pb2, attributions_pb2_grpc, methods_pb2

TENANTS = ("acme", "zenith")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Array:
    inputs, _ = shapes.inputs(tmp_path_factory.mktemp("pictures"), 2)
    return np.load(inputs)


@dataclass(frozen=True)
class Two:
    """A server, and of each tenant a client and a model."""

    server: Running
    clients: list[Client]
    models: list[Model]

    @property
    def desks(self) -> desks.Desks:
        return self.server.control._desks

    def asking(self, tenant: int, inputs: Array) -> Callable[[], Attribution]:
        """A call of that tenant's."""
        client, model = self.clients[tenant], self.models[tenant]
        return lambda: client.attribute(model, "gradient", inputs, layers="conv3/relu")

    def process(self, tenant: int) -> psutil.Process:
        """That serves the tenant now."""
        (found,) = [desk for desk in self.desks._desks if desk.tenant == TENANTS[tenant]]
        assert found.process is not None
        return psutil.Process(found.process.pid)


@contextmanager
def two(folder: Path, **changes: Any) -> Iterator[Two]:
    lines = [
        f"  {name}: {{tokens: [{{sha256: {hashlib.sha256(name.encode()).hexdigest()}, "
        "role: writer}]}"
        for name in TENANTS
    ]
    (folder / "tenants.yaml").write_text("\n".join(["tenants:", *lines]))
    settings = {
        "tenants_file": str(folder / "tenants.yaml"),
        "provider": "cpu",
        "workers": 0,
    } | changes
    with running(folder / "data", entry="mho.jobs.attribution", **settings) as server:
        clients = [Client(server.address, tenant=name, token=name) for name in TENANTS]
        try:
            yield Two(server, clients, [client.upload_model(shapes.MODEL) for client in clients])
        finally:
            for client in clients:
                client.close()


@pytest.fixture(scope="module")
def one_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two(tmp_path_factory.mktemp("one"), serving_workers=1) as started:
        yield started


@pytest.fixture(scope="module")
def a_desk_each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two(tmp_path_factory.mktemp("each"), serving_queue=2, threads=1) as started:
        yield started


def endless(model: Model, inputs: Array) -> attributions_pb2.AttributeRequest:
    """What takes longer than a test may."""
    slow = methods_pb2.ConductanceOptions(
        engine="finite_difference", granularity="neuron", tolerance=1e-5
    )
    request = attributions_pb2.AttributeRequest(
        model=model.name, method=methods_pb2.MethodOptions(conductance=slow), top=1
    )
    put_inputs(request, inputs)
    return request


def test_with_one_desk_each_tenant_gets_a_fresh_process(one_desk: Two, pictures: Array) -> None:
    seen: list[int] = []
    for turn in (0, 1, 0):
        one_desk.asking(turn, pictures)()
        seen.append(one_desk.process(turn).pid)
    assert len(set(seen)) == 3
    assert not psutil.pid_exists(seen[0])
    with pytest.raises(MhoClientError) as caught:
        one_desk.clients[1].attribute(one_desk.models[0], "gradient", pictures)
    assert caught.value.code == "NOT_FOUND"


def test_a_desk_that_is_never_idle_changes_hands(
    one_desk: Two, pictures: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "_HELD_SECONDS", 0.2)
    done = False
    flood = one_desk.asking(0, pictures)

    def flooding() -> None:
        while not done:
            flood()

    with ThreadPoolExecutor(4) as pool:
        floods = [pool.submit(flooding) for _ in range(4)]
        try:
            assert one_desk.asking(1, pictures)().scores
        finally:
            done = True
        for each in floods:
            each.result(60)


def test_a_call_of_a_quiet_tenant_stops_the_flood_where_it_is(
    a_desk_each: Two, pictures: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slot: the run of the flood is under way all the time, and the quiet call ends first."""
    monkeypatch.setattr(a_desk_each.desks, "_turns", Turns(1))
    a_desk_each.asking(1, pictures)()
    flood = attributions_pb2_grpc.AttributionsStub(a_desk_each.server.channel).Attribute.future(
        endless(a_desk_each.models[0], pictures),
        metadata=[("authorization", f"Bearer {TENANTS[0]}")],
    )
    until(lambda: a_desk_each.desks.busy() == 1, "the flood's run")
    for _ in range(3):
        assert a_desk_each.asking(1, pictures)().scores
    assert not flood.done()
    flood.cancel()
    until(lambda: a_desk_each.desks.busy() == 0, "the end of the flood's run")
    assert a_desk_each.process(0).status() != psutil.STATUS_STOPPED


def test_beyond_the_queue_calls_are_refused_and_the_other_tenant_is_served(
    a_desk_each: Two, pictures: Array
) -> None:
    for tenant in (0, 1):
        a_desk_each.asking(tenant, pictures)()
    process = a_desk_each.process(0)
    process.suspend()
    try:
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(a_desk_each.asking(0, pictures))
            until(lambda: a_desk_each.desks.busy() == 1, "the run")
            rest = [pool.submit(a_desk_each.asking(0, pictures)) for _ in range(2)]
            until(lambda: len(a_desk_each.desks._waiting.get(TENANTS[0], ())) == 2, "the queue")
            hasty = Client(
                a_desk_each.server.address, tenant=TENANTS[0], token=TENANTS[0], retry_seconds=0
            )
            with hasty, pytest.raises(MhoClientError, match="serving_queue") as caught:
                hasty.attribute(a_desk_each.models[0], "gradient", pictures, layers="conv3/relu")
            assert (caught.value.code, caught.value.retry_seconds) == ("RESOURCE_EXHAUSTED", 1)
            assert a_desk_each.asking(1, pictures)().scores
            process.resume()
            assert all(future.result(60).scores for future in (first, *rest))
    finally:
        process.resume()


def test_an_idle_process_is_ended(
    a_desk_each: Two, pictures: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_desk_each.asking(0, pictures)()
    held = a_desk_each.desks
    monkeypatch.setattr(held, "_settings", replace(held._settings, serving_idle_seconds=0.1))
    until(lambda: all(desk.process is None for desk in held._desks), "the end of the processes")
    assert a_desk_each.asking(0, pictures)().scores
