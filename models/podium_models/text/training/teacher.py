"""Runs ``train``: fine-tunes MiniLM once for each fold, and once on all queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from podium_models.devices import training_place, wait_for_all
from podium_models.settings import write_config
from podium_models.text.config import KIND, Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.nn.bert import Bert
from podium_models.text.nn.minilm import load_minilm, minilm_directory
from podium_models.text.nn.ranker import Top
from podium_models.text.training.distil import save_atomically
from podium_models.text.training.examples import Examples, read_examples
from podium_models.text.training.finetune import Entry, Task, fit, subset_of
from podium_models.text.training.resume import hold, settings_of

TEACHER, HISTORY, CURVES = "teacher", "history.json", "curves.png"
ALL = "all"


class Base(NamedTuple):
    """An encoder that fine-tuning starts from, with its tokenizer."""

    bert: Bert
    tokenizer: Tokenizer


def load_base() -> Base:
    """Loads MiniLM with its whole vocabulary."""
    return Base(load_minilm(), Tokenizer.from_file(str(minilm_directory() / "tokenizer.json")))


def fold_names(config: Config) -> list[str]:
    """Names what is fitted: each fold by its number, then all queries together."""
    return [*map(str, range(config.data.folds)), ALL]


def split_lists(prepared: Prepared, name: str, config: Config) -> tuple[list[int], list[int]]:
    """Returns lists that train and lists that validate; those of the fold are in neither."""
    kept = [n for n, one in enumerate(prepared.lists) if str(one.fold) != name]
    order = np.random.default_rng([config.train.seed, len(name)]).permutation(kept).tolist()
    count = round(len(kept) * config.train.validation_share)
    return order[count:], order[:count]


def tested_products(prepared: Prepared, name: str) -> np.ndarray:
    """Returns places of products that the fold's queries judge, which training must not see."""
    tested = [one.places for one in prepared.lists if str(one.fold) == name]
    return np.unique(np.concatenate(tested)) if tested else np.empty(0, np.int64)


def fit_fold(
    base: Base, examples: Examples, prepared: Prepared, name: str, config: Config
) -> tuple[Top, list[Entry]]:
    """Fits one fold's top, on queries and products that the fold does not test.

    Raises ``ValueError`` where no list is left: every product is judged for a tested query too.
    """
    top = Top(base.bert, config.model.form, config.train.tuned_blocks)
    train, validation = split_lists(prepared, name, config)
    subset = subset_of(examples, prepared.lists, train, tested_products(prepared, name))
    task = Task(examples, prepared.lists, subset, validation)
    label = "all queries" if name == ALL else f"without fold {name}"
    if not subset.lists:
        raise ValueError(f"{label}: no list is left to train on, as all products are tested")
    return top, fit(top, task, config.train, label)


def load_top(where: Path, name: str, bert: Bert, config: Config) -> Top:
    """Loads what was fitted for a fold, or for all queries."""
    path = where / f"{name}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run `train` first")
    top = Top(bert, config.model.form, config.train.tuned_blocks)
    top.load_state_dict(torch.load(path, weights_only=True)["top"])
    return top.eval()


def fit_folds(base: Base, where: Path, prepared: Prepared, config: Config) -> None:
    """Fits every fold that is not yet there, and all queries together; draws the curves.

    Under ``torchrun`` every process fits its share of the folds.
    """
    from podium_models.text.training.curves import draw_curves

    place = training_place(config.train.threads)
    where.mkdir(parents=True, exist_ok=True)
    names = fold_names(config)
    left = [one for one in names if not (where / f"{one}.pt").is_file()]
    wait_for_all(place)
    left = left[place.rank :: place.world]
    examples = read_examples(base.bert, base.tokenizer, prepared, config) if left else None
    for name in left:
        assert examples is not None
        top, history = fit_fold(base, examples, prepared, name, config)
        save_atomically(where / f"{name}.pt", {"top": top.state_dict(), "history": history})
    wait_for_all(place)
    if not place.first:
        return
    histories = {
        one: torch.load(where / f"{one}.pt", weights_only=True)["history"] for one in names
    }
    (where / HISTORY).write_text(json.dumps(histories, indent=2) + "\n", encoding="utf-8")
    draw_curves(histories, where / CURVES)


def try_teacher(where: Path, prepared: Prepared, config: Config) -> float:
    """Fine-tunes into ``where``; returns the mean over folds of the best validation NDCG@10."""
    fit_folds(load_base(), where, prepared, config)
    histories = json.loads((where / HISTORY).read_text(encoding="utf-8"))
    folds = [name for name in fold_names(config) if name != ALL]
    best = [np.max([entry["ndcg"] for entry in histories[name]]) for name in folds]
    return float(np.mean(best))


def train_teacher(run: Path, prepared: Prepared, config: Config) -> None:
    """Fine-tunes MiniLM on every fold's training queries, and on all queries."""
    settings = settings_of(prepared, config, "train")
    of_model = {f"model.{name}": getattr(config.model, name) for name in ("form", "product_tokens")}
    hold(run / TEACHER, {**settings, **of_model})
    write_config(run, KIND, config)
    fit_folds(load_base(), run / TEACHER, prepared, config)
    if training_place(config.train.threads).first:
        print("each is measured by `evaluate` on the queries it has not seen")
