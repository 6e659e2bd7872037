"""Answers ``compress`` for text rankers, and measures each method by cross-validation."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from podium_models.compression.graphs import METHODS as GRAPH_METHODS
from podium_models.compression.graphs import Feeds, compress_graph
from podium_models.compression.latency import measure_latency
from podium_models.compression.report import Comparison, Side, refuse_beyond, write_report
from podium_models.settings import override, read_config, write_config
from podium_models.text.config import KIND, Config
from podium_models.text.data.prepared import Prepared, load_prepared
from podium_models.text.evaluation.graphs import ALL_GRAPH, GRAPHS, fold_graph, score_graphs
from podium_models.text.evaluation.lists import NDCG, ndcg_at
from podium_models.text.evaluation.onnx_lists import ListFeeds
from podium_models.text.forms import BI
from podium_models.text.names import ACCEPTED, STUDENT, TOKENIZER
from podium_models.text.texts import FULL, SHORT, VIEWS, product_texts

LATENCY_ROWS = 64
CALIBRATION_LISTS = 12


def mean_ndcg(scores: list[np.ndarray], prepared: Prepared) -> float:
    """Returns the mean NDCG@10 over mixed lists."""
    lists = zip(scores, prepared.lists, strict=True)
    return float(np.mean([ndcg_at(one, rated.ratings) for one, rated in lists if rated.mixed]))


def timed_feeds(tokenizer: Tokenizer, prepared: Prepared, config: Config) -> Feeds:
    """Returns a request of 64 products that no list names, as titles and brands."""
    feeds = ListFeeds(tokenizer, config.model)
    others = np.setdiff1d(np.arange(prepared.products.height), prepared.judged)
    chosen = others[:LATENCY_ROWS] if len(others) else prepared.judged[:LATENCY_ROWS]
    return feeds(prepared.lists[0].query, product_texts(prepared.products[chosen], SHORT))


def measure_graphs(
    directory: Path, tokenizer: Tokenizer, prepared: Prepared, config: Config
) -> Side:
    """Measures quality by cross-validation, and latency and size of the graph of all queries."""
    scores = score_graphs(directory, tokenizer, prepared, config)
    by_view = {f"{NDCG}, {view}": mean_ndcg(scores[view], prepared) for view in VIEWS}
    quality = {NDCG: float(np.mean(list(by_view.values()))), **by_view}
    graph = directory / ALL_GRAPH
    latency = measure_latency(graph, timed_feeds(tokenizer, prepared, config))["p50_ms"]
    return Side(quality, {f"{LATENCY_ROWS} products, 1 thread": latency}, graph.stat().st_size)


def notes_of(config: Config) -> dict[str, str]:
    """Says how a comparison was measured."""
    return {
        "quality": f"{config.data.folds} folds by query, each ranked by the model that has seen "
        f"neither its queries nor their products; mean of the views {SHORT!r} and {FULL!r}",
    }


def calibration(
    fold: int | None, tokenizer: Tokenizer, prepared: Prepared, config: Config
) -> Iterator[Feeds]:
    """Yields inputs for static ranges, of lists outside the fold."""
    feeds = ListFeeds(tokenizer, config.model)
    lists = [one for one in prepared.lists if one.fold != fold][:CALIBRATION_LISTS]
    for place, one in enumerate(lists):
        view = VIEWS[place % len(VIEWS)]
        yield feeds(one.query, product_texts(prepared.products[one.places], view))


def teacher_graphs(run: Path, prepared: Prepared, config: Config) -> tuple[Path, Tokenizer]:
    """Writes the teacher's graphs where they are missing; returns them and its tokenizer."""
    from podium_models.text.training.export import write_teacher_graphs

    return write_teacher_graphs(run, prepared, config)


def source_graphs(run: Path, prepared: Prepared, config: Config) -> tuple[Path, Tokenizer]:
    """Returns the student's graphs, or the teacher's where no student was accepted."""
    from podium_models.text.training.export import write_student_graphs

    if (run / STUDENT / ACCEPTED).is_file():
        return write_student_graphs(run, prepared, config)
    return teacher_graphs(run, prepared, config)


def finish(comparison: Comparison, work: Path, target: Path) -> None:
    """Writes the report; adopts ``work`` as ``target`` where the loss is small enough."""
    shutil.rmtree(target, ignore_errors=True)
    write_report(target, comparison)
    try:
        refuse_beyond(comparison.metric, comparison.loss, comparison.max_loss)
    except ValueError:
        shutil.rmtree(work)
        raise
    for one in sorted(work.iterdir()):
        one.rename(target / one.name)
    work.rmdir()
    print(f"the graphs and the table are in {target}")


def compress_graphs(
    run: Path, prepared: Prepared, config: Config, given: argparse.Namespace
) -> None:
    """Compresses every fold's graph and that of all queries by one method."""
    source, tokenizer = source_graphs(run, prepared, config)
    work = run / f"{GRAPHS}-{given.method}.tmp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for fold in (*range(config.data.folds), None):
        name = ALL_GRAPH if fold is None else fold_graph(source, fold).name
        if (source / name).is_file():
            batches = calibration(fold, tokenizer, prepared, config)
            compress_graph(given.method, source / name, work / name, batches)
    tokenizer.save(str(work / TOKENIZER))
    before = measure_graphs(source, tokenizer, prepared, config)
    after = measure_graphs(work, tokenizer, prepared, config)
    notes = notes_of(config)
    comparison = Comparison(given.method, NDCG, given.max_loss, before, after, notes)
    finish(comparison, work, run / f"{GRAPHS}-{given.method}")


def compress_encoder(
    run: Path, prepared: Prepared, config: Config, given: argparse.Namespace
) -> None:
    """Prunes vocabulary or neurons without training, or distils a student, against the teacher."""
    from podium_models.devices import training_place
    from podium_models.text.training import export, student

    if given.method == "distil":
        if config.model.form != BI:
            raise ValueError("distil knows bi-encoders; set model.form=bi and train again")
        student.make_student(run, prepared, config)
        if not training_place(config.train.threads).first:
            return
        after_graphs = export.write_student_graphs(run, prepared, config)
    else:
        after_graphs = export.write_pruned_graphs(run, prepared, config, given.method)
    before = measure_graphs(*teacher_graphs(run, prepared, config), prepared, config)
    after = measure_graphs(*after_graphs, prepared, config)
    comparison = Comparison(given.method, NDCG, given.max_loss, before, after, notes_of(config))
    where = run / (STUDENT if given.method == "distil" else f"{GRAPHS}-{given.method}")
    write_report(where, comparison)
    (where / ACCEPTED).unlink(missing_ok=True)
    try:
        refuse_beyond(comparison.metric, comparison.loss, comparison.max_loss)
    except ValueError:
        shutil.rmtree(after_graphs[0])
        raise
    content = {"loss": comparison.loss, "max_loss": comparison.max_loss}
    (where / ACCEPTED).write_text(json.dumps(content) + "\n", encoding="utf-8")


def compress(arguments: argparse.Namespace) -> None:
    """Compresses by one method; a loss beyond ``--max-loss`` raises and adopts nothing."""
    run = arguments.run
    config = override(read_config(run, Config()), arguments.set)
    prepared = load_prepared(run)
    if arguments.method != "distil":
        write_config(run, KIND, config)
    act = compress_graphs if arguments.method in GRAPH_METHODS else compress_encoder
    act(run, prepared, config, arguments)
