"""Makes of a Podium bundle's ranker the graph that a server without a user's side would have to serve.

What the bundle has once for each user is then brought once for each row, so callers have to repeat it; the input that
says which row is whose is gone, as each row is its own user. All else, weights included, stays as it is.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import Message
from onnx import external_data_helper, helper, numpy_helper

USERS, ROWS = "users", "rows"
MOST_IN_ONE_FILE = 2_000_000_000
OLDEST_OPSET = 11
"""The first that has Range."""

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Sides:
    """The inputs of a bundle by what leads them."""

    users: tuple[str, ...]
    rows: tuple[str, ...]
    index: str | None
    """The input that says for each row which user it belongs to, where there is one."""

    def repeated(self, tensors: Tensors) -> Tensors:
        """Returns a bundle's inputs as the graph that is made here takes them."""
        rows = len(tensors[self.rows[0]])
        index = tensors[self.index] if self.index else np.zeros(rows, np.int64)
        kept = {name: values for name, values in tensors.items() if name != self.index}
        return {name: values[index] if name in self.users else values for name, values in kept.items()}


def manifest_of(bundle: Path) -> dict[str, Any]:
    """Reads a bundle's manifest."""
    return tomllib.loads((bundle / "model.toml").read_text(encoding="utf-8"))


def sides(bundle: Path) -> Sides:
    """Reads them from the bundle's manifest."""
    manifest = manifest_of(bundle)
    if manifest["role"] != "ranker" or manifest.get("layout", ROWS) != ROWS:
        raise SystemExit(f"error: {bundle}: only rankers of the layout rows can be made such a graph")
    index = [one["name"] for one in manifest["inputs"] if one["source"] == "user_index"]
    led = {
        by: tuple(one["name"] for one in manifest["inputs"] if one["shape"][0] == by and one["name"] not in index)
        for by in (USERS, ROWS)
    }
    if not led[ROWS]:
        raise SystemExit(f"error: {bundle}: no input but the user's index has a value for each row")
    return Sides(led[USERS], led[ROWS], index[0] if index else None)


def tensors_in(message: Message) -> Iterator[onnx.TensorProto]:
    """Returns every tensor that a message holds, wherever in it."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Sequence) else [value]:
                yield from tensors_in(part)


def load(bundle: Path) -> onnx.ModelProto:
    """Reads the bundle's graph, with the values that stand in other files; `onnx.load` finds not all of them."""
    model = onnx.load(bundle / "model.onnx", load_external_data=False)
    for tensor in tensors_in(model):
        if external_data_helper.uses_external_data(tensor):
            external_data_helper.load_external_data_for_tensor(tensor, str(bundle))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    return model


def lead(value: onnx.ValueInfoProto) -> None:
    """Has an input led by the rows."""
    dim = value.type.tensor_type.shape.dim[0]
    dim.Clear()
    dim.dim_param = ROWS


def counted(row_input: str, index: onnx.ValueInfoProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Returns nodes and constants that give 0, 1, 2 and so on under the index's name, one for each row."""
    prefix = f"{index.name}_of_rows"
    held: Tensors = {"zero": np.array(0), "step": np.array(1), "first": np.array([0]), "scalar": np.array([], np.int64)}
    constants = [numpy_helper.from_array(values, f"{prefix}_{name}") for name, values in held.items()]
    zero, step, first, scalar = (one.name for one in constants)
    nodes = [
        helper.make_node("Shape", [row_input], [f"{prefix}_shape"]),
        helper.make_node("Gather", [f"{prefix}_shape", first], [f"{prefix}_counts"]),
        helper.make_node("Reshape", [f"{prefix}_counts", scalar], [f"{prefix}_count"]),
        helper.make_node("Range", [zero, f"{prefix}_count", step], [f"{prefix}_range"]),
        helper.make_node("Cast", [f"{prefix}_range"], [index.name], to=index.type.tensor_type.elem_type),
    ]
    return nodes, constants


def repeated(model: onnx.ModelProto, of: Sides) -> onnx.ModelProto:
    """Changes the graph in place and returns it."""
    graph = model.graph
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset < OLDEST_OPSET:
        raise SystemExit(f"error: the graph's opset is {opset}; {OLDEST_OPSET} is the first that can count rows")
    for value in graph.input:
        if value.name in of.users:
            lead(value)
    if of.index:
        [index] = [value for value in graph.input if value.name == of.index]
        nodes, constants = counted(of.rows[0], index)
        rest = [*graph.node]
        del graph.node[:]
        graph.node.extend([*nodes, *rest])
        graph.initializer.extend(constants)
        graph.input.remove(index)
    # What the graph tells of dims in between holds no longer; nobody needs it.
    del graph.value_info[:]
    return model


def write(model: onnx.ModelProto, path: Path) -> None:
    """Writes the graph; its weights stand in a file beside it where one file cannot hold all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = f"{path.name}.data"
    (path.parent / beside).unlink(missing_ok=True)
    if sum(len(one.raw_data) for one in model.graph.initializer) <= MOST_IN_ONE_FILE:
        onnx.save_model(model, path)
    else:
        onnx.save_model(model, path, save_as_external_data=True, location=beside)
    onnx.checker.check_model(path)


def array(tensor: dict[str, Any]) -> npt.NDArray[Any]:
    """Returns a tensor of a file of golden vectors."""
    dtype = object if tensor["dtype"] == "string" else tensor["dtype"]
    return np.array(tensor["data"], dtype).reshape(tensor["shape"])


def golden(bundle: Path) -> tuple[list[Tensors], float]:
    """Returns the inputs of the bundle's golden vectors, and how far an answer to them may be off."""
    told = manifest_of(bundle).get("golden")
    if told is None:
        raise SystemExit(f"error: {bundle} has no golden vectors to check with")
    cases = json.loads((bundle / told["file"]).read_text(encoding="utf-8"))["cases"]
    inputs = [{name: array(one) for name, one in case["inputs"].items()} for case in cases]
    return inputs, float(told["tolerance"])


def check(bundle: Path, made: Path, of: Sides) -> str:
    """Runs the golden vectors through both graphs; tells how far they are apart, or ends where that is too far."""
    before, after = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (bundle / "model.onnx", made)
    )
    names = [one.name for one in before.get_outputs()]
    inputs, tolerance = golden(bundle)
    furthest = 0.0
    for tensors in inputs:
        wanted, got = before.run(names, tensors), after.run(names, of.repeated(tensors))
        for want, have in zip(wanted, got, strict=True):
            apart = np.abs(have - want) / np.maximum(1, np.abs(want))
            furthest = float(np.maximum(furthest, apart.max(initial=0)))
    told = f"{len(inputs)} golden vectors: {furthest:.1e} apart at most, of {tolerance:.1e}"
    if not furthest <= tolerance:
        raise SystemExit(f"error: the graphs do not answer the same: {told}")
    return told


def main() -> None:
    """Makes what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE_DIR", help="such as models/grocery-ranker/1")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="where to write")
    parser.add_argument("--check", action="store_true", help="run the bundle's golden vectors through both graphs")
    args = parser.parse_args()
    of = sides(args.bundle)
    write(repeated(load(args.bundle), of), args.out)
    print(f"written: {args.out}; repeated for each row: {', '.join(of.users) or 'nothing'}")
    if args.check:
        print(check(args.bundle, args.out, of))


if __name__ == "__main__":
    main()
