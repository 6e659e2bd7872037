"""Requests that wait are run together: a queue, and a thread with a session of its own for each instance."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from benches.peers.graphs import Graph

Arrays = list[npt.NDArray[Any]]


@dataclass
class Job:
    """A request: its inputs in the graph's order, all of as many rows."""

    inputs: Arrays
    rows: int
    key: tuple[tuple[int, ...], ...]
    """The inputs' other dims: only requests that agree in them can be joined."""
    waiter: Any
    """Who waits for the answer; it is handed back with it."""


Done = Callable[[list[Job], Arrays | Exception], None]


class Queue:
    """Jobs that wait for an instance."""

    def __init__(self, max_rows: int, wait: float) -> None:
        """Makes an empty queue that gives at most so many rows, after waiting at most so many seconds for company."""
        self.max_rows = max_rows
        self.wait = wait
        self.waiting: deque[Job] = deque()
        self.changed = threading.Condition(threading.Lock())

    def put(self, job: Job) -> None:
        """Adds a job."""
        with self.changed:
            self.waiting.append(job)
            self.changed.notify()

    def take(self) -> list[Job]:
        """Waits for jobs, and takes the first and all that can run with it; one that is too large runs alone."""
        with self.changed:
            while not self.waiting:
                self.changed.wait()
            if self.wait > 0:
                self._wait_for_company()
            return self._taken() if self.waiting else []

    def _wait_for_company(self) -> None:
        end = time.monotonic() + self.wait
        while sum(job.rows for job in self.waiting) < self.max_rows and (left := end - time.monotonic()) > 0:
            self.changed.wait(left)

    def _taken(self) -> list[Job]:
        first = self.waiting.popleft()
        taken, rows, passed_over = [first], first.rows, []
        while self.waiting and rows < self.max_rows:
            job = self.waiting.popleft()
            if job.key == first.key and rows + job.rows <= self.max_rows:
                taken.append(job)
                rows += job.rows
            else:
                passed_over.append(job)
        self.waiting.extendleft(reversed(passed_over))
        if self.waiting:
            self.changed.notify()
        return taken


class Model:
    """A graph with its instances."""

    def __init__(self, graph: Graph, instances: int, max_rows: int, wait: float, done: Done) -> None:
        """Loads the sessions and starts their threads; `done` is called from them."""
        self.graph = graph
        self.queue = Queue(max_rows, wait)
        self.done = done
        self.rows = 0
        self.runs = 0
        self.counting = threading.Lock()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        for _ in range(instances):
            session = onnxruntime.InferenceSession(graph.path, options, providers=["CPUExecutionProvider"])
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: Any) -> None:
        names = [one.name for one in self.graph.inputs]
        outputs = [one.name for one in self.graph.outputs]
        while True:
            jobs = self.queue.take()
            if not jobs:
                continue
            with self.counting:
                self.rows += sum(job.rows for job in jobs)
                self.runs += 1
            try:
                feeds = dict(zip(names, joined(jobs), strict=True))
                self.done(jobs, session.run(outputs, feeds))
            except Exception as error:
                self.done(jobs, error)


def joined(jobs: list[Job]) -> Arrays:
    """Returns the inputs of all jobs, one after the other."""
    if len(jobs) == 1:
        return jobs[0].inputs
    return [np.concatenate(parts) for parts in zip(*(job.inputs for job in jobs), strict=True)]
