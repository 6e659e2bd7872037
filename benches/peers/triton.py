"""Has Triton Inference Server serve ONNX graphs, as fast as its Python backend can on a CPU.

Each graph is served twice, as NAME-8 and NAME-64: with dynamic batching up to 8 and up to 64 rows, without a delay.
Triton refuses requests of more rows, so where they have more, name other sizes by --batches. Each model has two
instances, which run ONNX Runtime on one thread. `scripts/peers-venv` installs Triton; this has to be run by the Python
that it made. Inputs and outputs that have no dimension but the rows are [rows, 1] for callers: Triton has no other.
"""

from __future__ import annotations

import argparse
import ctypes.util
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import grpc

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benches.peers import graphs  # noqa: E402

START_SECONDS = 120
STOP_SECONDS = 10
READY = b"\x08\x01"
"""A ServerReadyResponse that says yes."""


def package() -> Path:
    """Returns where Triton's files are."""
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise SystemExit(
            "error: there is no Triton for this Python: run scripts/peers-venv, then target/peers-venv/bin/python"
        )
    return Path(found.origin).parent


def described(tensor: graphs.Tensor) -> str:
    """Returns the configuration of an input or output; the rows that lead it are not in its dims."""
    dims = tensor.shape[1:]
    reshape = "" if dims else ", reshape: { shape: [ ] }"
    return f'{{ name: "{tensor.name}", data_type: TYPE_{tensor.datatype}, dims: {dims or [1]}{reshape} }}'


def configuration(graph: graphs.Graph, rows: int, instances: int) -> str:
    """Returns a `config.pbtxt`."""
    inputs, outputs = (",\n  ".join(map(described, part)) for part in (graph.inputs, graph.outputs))
    return f"""backend: "python"
max_batch_size: {rows}
dynamic_batching {{ }}
instance_group [ {{ kind: KIND_CPU, count: {instances} }} ]
parameters {{ key: "onnx", value: {{ string_value: "{graph.path}" }} }}
input [
  {inputs}
]
output [
  {outputs}
]
"""


def write_models(read: list[graphs.Graph], batches: list[int], instances: int, folder: Path) -> list[str]:
    """Writes the model repository and returns the names of its models."""
    names = []
    for graph in read:
        for rows in batches:
            names.append(f"{graph.name}-{rows}")
            version = folder / names[-1] / "1"
            version.mkdir(parents=True)
            shutil.copy(Path(__file__).with_name("triton_model.py"), version / "model.py")
            text = configuration(graph, rows, instances)
            (version.parent / "config.pbtxt").write_text(text, encoding="utf-8")
    return names


def write_backend(folder: Path) -> None:
    """Puts the Python backend together with the program of this Python's version that it starts for an instance."""
    triton = package() / "tritonserver"
    version = ".".join(platform.python_version_tuple()[:2])
    program = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not program.exists():
        raise SystemExit(f"error: Triton's Python backend is not built for Python {version}")
    place = folder / "python"
    place.mkdir(parents=True)
    for path in (*(triton / "backends" / "python").iterdir(), program):
        (place / path.name).symlink_to(path)


def environment() -> dict[str, str]:
    """Returns what Triton has to find: its own libraries, this Python's, and this Python's packages.

    The last by PATH: its Python backend looks for `python3` there, and reads no other variable.
    """
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/")
    if not (folder / library).exists() and not ctypes.util.find_library(library.removeprefix("lib").split(".so")[0]):
        raise SystemExit("error: Triton needs a Python with a shared library, and this one has none")
    libraries = [str(package().parent / "nvidia_pytriton.libs"), str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return os.environ | {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
    }


def start(folder: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts Triton on the models of a folder."""
    command = [
        str(package() / "tritonserver" / "bin" / "tritonserver"),
        f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}",
        "--disable-auto-complete-config", "--grpc-address=127.0.0.1", f"--grpc-port={port}",
        "--allow-http=false", "--allow-metrics=false", f"--exit-timeout-secs={STOP_SECONDS}",
    ]  # fmt: skip
    with log.open("wb") as output:
        return subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until all models are loaded."""
    give_up = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ready: Any = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
        while time.monotonic() < give_up and server.poll() is None:
            try:
                if ready(b"", timeout=1, wait_for_ready=True) == READY:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.1)
    raise SystemExit(f"error: Triton is not ready:\n{complaints(log)}")


def complaints(log: Path) -> str:
    """Returns what Triton's log has of errors."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if line.startswith(("E", "error:"))) or "\n".join(lines[-20:])


def stop(server: subprocess.Popen[bytes]) -> None:
    """Ends Triton, and what it started where it does not do so itself."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS + 5)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ends this program in the usual way when it is told to."""
    raise SystemExit(0)


def main() -> None:
    """Serves what the arguments name until SIGINT or SIGTERM comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx", help="called by its file or its folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", help="what a single graph is called instead")
    parser.add_argument("--batches", default="8,64", help="rows of a joint run at most, a model for each")
    parser.add_argument("--instances", type=int, default=2, help="processes for each model")
    args = parser.parse_args()
    if args.name and len(args.models) > 1:
        parser.error("--name is for one graph")
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, interrupted)
    with tempfile.TemporaryDirectory(prefix="triton-") as place:
        folder = Path(place)
        read = [graphs.read(path, args.name) for path in args.models]
        batches = [int(rows) for rows in args.batches.split(",")]
        names = write_models(read, batches, args.instances, folder / "models")
        write_backend(folder / "backends")
        server = start(folder, args.port, folder / "log")
        try:
            wait_until_ready(server, args.port, folder / "log")
            print(f"ready: {', '.join(names)} on 127.0.0.1:{args.port}", flush=True)
            server.wait()
            raise SystemExit(f"error: Triton ended with status {server.returncode}:\n{complaints(folder / 'log')}")
        finally:
            stop(server)


if __name__ == "__main__":
    main()
