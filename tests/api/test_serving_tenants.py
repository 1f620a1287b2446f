"""Synchronous calls of several tenants: a process of one's own, bounded queues, nobody starves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import shapes
from api.running import Running, running
from jobs.server import until
from mho.jobs.serving import desks
from mho.types import Array
from mho_client import Attribution, Client, MhoClientError, Model
from mho_client.attributions import put_inputs
from mho_client.v1 import attributions_pb2, attributions_pb2_grpc, methods_pb2

TENANTS = ("acme", "zenith")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Array:
    inputs, _ = shapes.inputs(tmp_path_factory.mktemp("pictures"), 2)
    return np.load(inputs)


@contextmanager
def two(folder: Path, **changes: Any) -> Iterator[tuple[Running, list[Client], list[Model]]]:
    """A server, and of each tenant a client and a model."""
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
            yield server, clients, [client.upload_model(shapes.MODEL) for client in clients]
        finally:
            for client in clients:
                client.close()


def process_of(server: Running, tenant: str) -> psutil.Process:
    (found,) = [desk for desk in server.control._desks._desks if desk.tenant == tenant]
    assert found.process is not None
    return psutil.Process(found.process.pid)


def asking(client: Client, model: Model, inputs: Array) -> Callable[[], Attribution]:
    return lambda: client.attribute(model, "gradient", inputs, layers="conv3/relu")


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


def test_with_one_desk_each_tenant_gets_a_fresh_process(tmp_path: Path, pictures: Array) -> None:
    with two(tmp_path, serving_workers=1) as (server, clients, models):
        seen: list[int] = []
        for turn in (0, 1, 0):
            asking(clients[turn], models[turn], pictures)()
            seen.append(process_of(server, TENANTS[turn]).pid)
        assert len(set(seen)) == 3
        assert not psutil.pid_exists(seen[0])
        with pytest.raises(MhoClientError) as caught:
            asking(clients[1], models[0], pictures)()
        assert caught.value.code == "NOT_FOUND"


def test_a_desk_that_is_never_idle_changes_hands(
    tmp_path: Path, pictures: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "_HELD_SECONDS", 0.2)
    with two(tmp_path, serving_workers=1) as (_, clients, models):
        done = False
        flood = asking(clients[0], models[0], pictures)

        def flooding() -> None:
            while not done:
                flood()

        with ThreadPoolExecutor(4) as pool:
            floods = [pool.submit(flooding) for _ in range(4)]
            try:
                assert asking(clients[1], models[1], pictures)().scores
            finally:
                done = True
            for each in floods:
                each.result(60)


def test_a_call_of_a_quiet_tenant_stops_the_flood_where_it_is(
    tmp_path: Path, pictures: Array
) -> None:
    """One slot: the run of the flood is under way all the time, and the quiet call ends first."""
    with two(tmp_path, threads=os.cpu_count()) as (server, clients, models):
        asking(clients[1], models[1], pictures)()
        flood = attributions_pb2_grpc.AttributionsStub(server.channel).Attribute.future(
            endless(models[0], pictures), metadata=[("authorization", f"Bearer {TENANTS[0]}")]
        )
        until(lambda: server.control._desks.busy() == 1, "the flood's run")
        for _ in range(3):
            assert asking(clients[1], models[1], pictures)().scores
        assert not flood.done()
        flood.cancel()
        until(lambda: server.control._desks.busy() == 0, "the end of the flood's run")
        assert process_of(server, TENANTS[0]).status() != psutil.STATUS_STOPPED


def test_beyond_the_queue_calls_are_refused_and_the_other_tenant_is_served(
    tmp_path: Path, pictures: Array
) -> None:
    with two(tmp_path, serving_queue=2, threads=1) as (server, clients, models):
        for client, model in zip(clients, models, strict=True):
            asking(client, model, pictures)()
        process = process_of(server, TENANTS[0])
        process.suspend()
        try:
            with ThreadPoolExecutor(3) as pool:
                first = pool.submit(asking(clients[0], models[0], pictures))
                until(lambda: server.control._desks.busy() == 1, "the run")
                rest = [pool.submit(asking(clients[0], models[0], pictures)) for _ in range(2)]
                queue = server.control._desks._waiting
                until(lambda: len(queue.get(TENANTS[0], ())) == 2, "the queue")
                with pytest.raises(MhoClientError, match="serving_queue") as caught:
                    asking(clients[0], models[0], pictures)()
                assert caught.value.code == "RESOURCE_EXHAUSTED"
                assert asking(clients[1], models[1], pictures)().scores
                process.resume()
                assert all(future.result(60).scores for future in (first, *rest))
        finally:
            process.resume()


def test_an_idle_process_is_ended(tmp_path: Path, pictures: Array) -> None:
    with two(tmp_path, serving_idle_seconds=0.1) as (server, clients, models):
        asking(clients[0], models[0], pictures)()
        held = server.control._desks._desks
        until(lambda: all(desk.process is None for desk in held), "the end of the process")
        assert asking(clients[0], models[0], pictures)().scores
