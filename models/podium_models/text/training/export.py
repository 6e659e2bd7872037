"""Writes the graphs of a teacher, a student, or a pruned teacher, for every fold."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.graphs import ALL_GRAPH, GRAPHS, write_fold_graphs
from podium_models.text.export.graph import write_graph
from podium_models.text.names import STUDENT
from podium_models.text.nn.served import bare, merged
from podium_models.text.nn.shrink import shrink
from podium_models.text.training.student import (
    load_student,
    pruned_tokenizer,
    unjudged,
)
from podium_models.text.training.teacher import TEACHER, Base, load_base, load_top

Written = tuple[Path, Tokenizer]


def newer(graph: Path, sources: Iterable[Path]) -> bool:
    """Says whether a graph is there and was written after all its sources."""
    return graph.is_file() and all(one.stat().st_mtime <= graph.stat().st_mtime for one in sources)


def write_graphs(base: Base, where: Path, prepared: Prepared, config: Config) -> Written:
    """Writes the graphs of an encoder with the tops beside them, where they are not newer."""
    directory = where / GRAPHS
    if not newer(directory / ALL_GRAPH, where.glob("*.pt")):
        shutil.rmtree(directory, ignore_errors=True)
        write_fold_graphs(
            directory,
            prepared,
            lambda name, path: write_graph(
                base.bert, load_top(where, name, base.bert, config), path
            ),
        )
    return directory, base.tokenizer


def write_teacher_graphs(run: Path, prepared: Prepared, config: Config) -> Written:
    """Writes fine-tuned MiniLM's graphs."""
    return write_graphs(load_base(), run / TEACHER, prepared, config)


def write_student_graphs(run: Path, prepared: Prepared, config: Config) -> Written:
    """Writes the student's graphs."""
    return write_graphs(load_student(run), run / STUDENT, prepared, config)


def write_pruned_graphs(run: Path, prepared: Prepared, config: Config, method: str) -> Written:
    """Writes graphs of the teacher with fewer tokens, or with fewer neurons, without training."""
    base, size = load_base(), config.model.vocabulary
    tokenizer, ids, ffn = base.tokenizer, list(range(base.bert.shape.vocabulary)), config.model.ffn
    if method == "vocabulary":
        tokenizer, ids = pruned_tokenizer(base, unjudged(prepared), size)
        ffn = max(base.bert.shape.ffn)
    directory = run / f"{GRAPHS}-{method}" / GRAPHS
    shutil.rmtree(directory, ignore_errors=True)

    def write(name: str, path: Path) -> float:
        top = load_top(run / TEACHER, name, base.bert, config)
        blocks = range(base.bert.shape.layers)
        positions = config.model.product_tokens
        small = shrink(merged(base.bert, top), blocks, ffn, ids, positions)
        return write_graph(small, bare(small, top), path)

    write_fold_graphs(directory, prepared, write)
    return directory, tokenizer
