"""Requests that wait are run together: a queue, and a thread with a session of its own for each instance.

All but the runs happens on the event loop, so nothing is locked; a run gives Python's lock away.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
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
    answer: asyncio.Future[Arrays | Exception]


class Model:
    """A graph, its instances, and the requests that wait for one."""

    def __init__(self, graph: Graph, instances: int, max_rows: int, wait: float) -> None:
        """Loads the sessions. A run has at most so many rows; for company is waited at most so many seconds."""
        self.graph = graph
        self.max_rows = max_rows
        self.wait = wait
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[Job] = deque()
        self.waiting_rows = 0
        self.timer: asyncio.Handle | None = None
        self.idle = [Instance(self) for _ in range(instances)]
        self.rows = 0
        self.runs = 0

    def put(self, job: Job) -> None:
        """Has a request run, with those that come along with it or wait already."""
        self.waiting.append(job)
        self.waiting_rows += job.rows
        if self.timer is None:
            self.timer = self.loop.call_later(self.wait, self.over) if self.wait else self.loop.call_soon(self.over)
        elif self.wait and self.waiting_rows >= self.max_rows:
            self.dispatch()

    def over(self) -> None:
        """Ends the time that is waited for company."""
        self.timer = None
        self.dispatch()

    def dispatch(self) -> None:
        """Gives what waits to the instances that are idle."""
        while self.waiting and self.idle:
            jobs = self.taken()
            rows = sum(job.rows for job in jobs)
            self.waiting_rows -= rows
            self.rows += rows
            self.runs += 1
            self.idle.pop().inbox.put(jobs)

    def taken(self) -> list[Job]:
        """Takes the first and all that can run with it out of the queue; one that is too large runs alone."""
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
        return taken

    def done(self, instance: Instance, jobs: list[Job], outputs: Arrays | Exception) -> None:
        """Has the instance go on, and gives each request the rows that are its own."""
        self.idle.append(instance)
        if self.timer is None:
            self.dispatch()
        start = 0
        for job in jobs:
            end = start + job.rows
            if not job.answer.done():
                own = outputs if isinstance(outputs, Exception) else [values[start:end] for values in outputs]
                job.answer.set_result(own)
            start = end


class Instance:
    """A session of one thread, and the thread."""

    def __init__(self, model: Model) -> None:
        """Loads the session and starts the thread, which ends with the process."""
        self.model = model
        self.inbox: queue.SimpleQueue[list[Job]] = queue.SimpleQueue()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.graph.path, options, providers=["CPUExecutionProvider"])
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Runs what comes."""
        while True:
            jobs = self.inbox.get()
            self.model.loop.call_soon_threadsafe(self.model.done, self, jobs, self.run(jobs))

    def run(self, jobs: list[Job]) -> Arrays | Exception:
        """Runs requests as one, and returns the outputs of all."""
        graph = self.model.graph
        try:
            feeds = dict(zip([one.name for one in graph.inputs], joined(jobs), strict=True))
            outputs: Arrays = self.session.run([one.name for one in graph.outputs], feeds)
        except Exception as error:
            return error
        return outputs


def joined(jobs: list[Job]) -> Arrays:
    """Returns the inputs of all jobs, one after the other."""
    if len(jobs) == 1:
        return jobs[0].inputs
    return [np.concatenate(parts) for parts in zip(*(job.inputs for job in jobs), strict=True)]
