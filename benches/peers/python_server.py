"""The plain server that somebody would write in an afternoon: gRPC and ONNX Runtime from Python, with joint batches.

It speaks the Open Inference Protocol as far as a benchmark needs it: contents are raw, and nobody looks at a model's
version. Whatever waits when an instance becomes free is run together.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benches.peers import contract, graphs  # noqa: E402
from benches.peers.joint import Arrays, Job, Model  # noqa: E402

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

messages, service = contract.load()


class RefusedError(Exception):
    """Says what is wrong with a request."""


def array(tensor: graphs.Tensor, given: Any, raw: bytes) -> np.ndarray[Any, Any]:
    """Returns the values of an input, once they are what the graph takes."""
    shape = tuple(given.shape)
    if given.datatype != tensor.datatype:
        raise RefusedError(f"input {tensor.name}: its type is {given.datatype}, the model takes {tensor.datatype}")
    fits = len(shape) == len(tensor.shape) and all(map(fits_dim, shape, tensor.shape))
    if not fits:
        raise RefusedError(f"input {tensor.name}: its shape is {list(shape)}, the model takes {tensor.shape}")
    if len(raw) != (wanted := math.prod(shape) * tensor.dtype.itemsize):
        raise RefusedError(f"input {tensor.name}: its contents have {len(raw)} bytes, its shape says {wanted}")
    return np.frombuffer(raw, tensor.dtype).reshape(shape)


def fits_dim(given: int, wanted: int) -> bool:
    """Says whether a dim is one that the graph takes, which is -1 where any is."""
    return given == wanted or (wanted == -1 and given > 0)


def read(graph: graphs.Graph, request: Any) -> Arrays:
    """Returns the inputs of a request in the graph's order."""
    if len(request.raw_input_contents) != len(request.inputs):
        names = ", ".join(one.name for one in request.inputs)
        raise RefusedError(
            f"inputs {names}: there have to be as many raw contents, {len(request.raw_input_contents)} came"
        )
    given = {one.name: (one, raw) for one, raw in zip(request.inputs, request.raw_input_contents, strict=True)}
    wanted = {one.name for one in graph.inputs}
    if wrong := sorted(given.keys() ^ wanted):
        why = "the model has none of that name" if wrong[0] in given else "it is missing"
        raise RefusedError(f"input {wrong[0]}: {why}")
    if len(given) != len(request.inputs):
        raise RefusedError(f"input {request.inputs[0].name}: some inputs came twice")
    arrays = [array(one, *given[one.name]) for one in graph.inputs]
    for one, values in zip(graph.inputs, arrays, strict=True):
        if len(values) != len(arrays[0]):
            raise RefusedError(
                f"input {one.name}: it has {len(values)} rows, {graph.inputs[0].name} has {len(arrays[0])}"
            )
    return arrays


def response(graph: graphs.Graph, request: Any, outputs: Arrays) -> Any:
    """Returns the answer with the outputs that are asked for: all, where none is named."""
    every = {one.name: (one, values) for one, values in zip(graph.outputs, outputs, strict=True)}
    answer = messages.ModelInferResponse(model_name=graph.name, model_version="1", id=request.id)
    for name in [one.name for one in request.outputs] or every:
        tensor, values = every[name]
        answer.outputs.add(name=name, datatype=tensor.datatype, shape=values.shape)
        answer.raw_output_contents.append(values.tobytes())
    return answer


def described(tensor: graphs.Tensor) -> Any:
    """Returns what the protocol tells of a tensor."""
    kind = messages.ModelMetadataResponse.TensorMetadata
    return kind(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


class Service(service.GRPCInferenceServiceServicer):  # type: ignore[misc, name-defined]
    """The calls; those that are not here are UNIMPLEMENTED."""

    def __init__(self, files: list[Path], args: argparse.Namespace) -> None:
        """Loads the models."""
        rows, wait = args.max_batch, args.wait_us / 1e6
        read_graphs = [graphs.read(path) for path in files]
        self.models = {one.name: Model(one, args.instances, rows, wait) for one in read_graphs}

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """It is live."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """It is ready once it answers."""
        return messages.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """All models that there are, are ready."""
        return messages.ModelReadyResponse(ready=request.name in self.models)

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Tells who answers."""
        return messages.ServerMetadataResponse(name="python-server", version="1")

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tells a model's tensors."""
        graph = (await self.model(request.name, context)).graph
        inputs, outputs = (list(map(described, part)) for part in (graph.inputs, graph.outputs))
        return messages.ModelMetadataResponse(
            name=graph.name, versions=["1"], platform="onnxruntime", inputs=inputs, outputs=outputs
        )

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tells how many rows and joint runs there were."""
        model = await self.model(request.name, context)
        told = messages.ModelStatistics(
            name=model.graph.name, version="1", inference_count=model.rows, execution_count=model.runs
        )
        return messages.ModelStatisticsResponse(model_stats=[told])

    async def model(self, name: str, context: Any) -> Model:
        """Returns a model, or ends the call."""
        if name not in self.models:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {name}")
        return self.models[name]

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Queues a request and answers it."""
        model = await self.model(request.model_name, context)
        names = {one.name for one in model.graph.outputs}
        try:
            inputs = read(model.graph, request)
            if unknown := [one.name for one in request.outputs if one.name not in names]:
                raise RefusedError(f"output {unknown[0]}: the model has none of that name")
        except RefusedError as refused:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))
        job = Job(inputs, len(inputs[0]), tuple(values.shape[1:] for values in inputs), model.loop.create_future())
        model.put(job)
        outputs = await job.answer
        if isinstance(outputs, Exception):
            return await context.abort(grpc.StatusCode.INTERNAL, str(outputs))
        return response(model.graph, request, outputs)


async def serve(args: argparse.Namespace) -> None:
    """Serves until SIGINT or SIGTERM comes."""
    server = grpc.aio.server(options=UNLIMITED)
    calls = Service(args.models, args)
    service.add_GRPCInferenceServiceServicer_to_server(calls, server)
    if server.add_insecure_port(f"127.0.0.1:{args.port}") == 0:
        raise SystemExit(f"error: port {args.port} is taken")
    await server.start()
    print(f"ready: {', '.join(calls.models)} on 127.0.0.1:{args.port}", flush=True)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await stop.wait()
    await server.stop(grace=1)


def main() -> None:
    """Serves what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx", help="called by its file or its folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch", type=int, default=64, help="rows of a joint run at most")
    parser.add_argument("--instances", type=int, default=os.cpu_count(), help="sessions of one thread each")
    parser.add_argument("--wait-us", type=float, default=0, help="how long the first request waits for company")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
