"""Makes the student: a smaller encoder with fewer tokens that imitates MiniLM, then fine-tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from podium_models.devices import training_place, wait_for_all
from podium_models.settings import write_config
from podium_models.text.config import KIND, Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.names import STUDENT, TOKENIZER
from podium_models.text.nn.bert import Bert
from podium_models.text.nn.embed import embed_texts, save_vectors
from podium_models.text.nn.shrink import shrink
from podium_models.text.tokens.batches import without_limits
from podium_models.text.tokens.pruning import choose_pieces, piece_counts, prune
from podium_models.text.training.corpus import ProductText, make_corpus
from podium_models.text.training.distil import DistilPlan, Lesson, distil
from podium_models.text.training.resume import hold, settings_of
from podium_models.text.training.teacher import Base, fit_folds, load_base

ENCODER, VECTORS = "encoder.pt", "vectors.npy"


def unjudged(prepared: Prepared) -> list[ProductText]:
    """Returns the texts of products that no list names; the student learns from these alone."""
    judged = set(prepared.judged.tolist())
    rows = prepared.products.select("title", "brand", "description").iter_rows()
    return [ProductText(*row) for place, row in enumerate(rows) if place not in judged]


def pruned_tokenizer(
    base: Base, products: list[ProductText], size: int
) -> tuple[Tokenizer, list[int]]:
    """Returns a tokenizer of ``size`` pieces, chosen by product texts, and their old ids."""
    plain = without_limits(base.tokenizer, 512)
    counts = piece_counts(plain, [text for product in products for text in product])
    return prune(base.tokenizer, choose_pieces(plain.get_vocab(), counts, size))


def kept_blocks(config: Config) -> list[int]:
    """Parses ``model.blocks``."""
    try:
        return [int(one) for one in config.model.blocks.split(",")]
    except ValueError as error:
        raise ValueError(f"model.blocks is {config.model.blocks!r}; write as 0,1,3,5") from error


def shrunk(base: Base, ids: list[int], config: Config) -> Bert:
    """Cuts the student out of the teacher, untrained."""
    model = config.model
    return shrink(base.bert, kept_blocks(config), model.ffn, ids, model.product_tokens)


def read_lesson(where: Path, base: Base, texts: list[str], config: Config) -> Lesson:
    """Returns the teacher's vectors of the texts, computed once and kept."""
    path = where / VECTORS
    if path.is_file():
        vectors = np.load(path)
        if len(vectors) == len(texts):
            return Lesson(texts, vectors)
    limited = without_limits(base.tokenizer, config.model.product_tokens)
    vectors = embed_texts(base.bert, limited, texts, config.train.mixed, "teacher's vectors")
    save_vectors(path, vectors)
    return Lesson(texts, vectors)


def make_student(run: Path, prepared: Prepared, config: Config) -> None:
    """Prunes, distils and fine-tunes; every part that is already there is kept.

    Distillation uses neither queries nor judged products, so that one student serves all folds;
    fine-tuning follows for each fold, as the teacher's does. Under ``torchrun`` the first process
    reads with the teacher, and all of them train.
    """
    place = training_place(config.train.threads)
    where, settings = run / STUDENT, config.distil
    hold(where, settings_of(prepared, config, "train", "model", "distil"))
    write_config(run, KIND, config)
    base, products = load_base(), unjudged(prepared)
    tokenizer, ids = pruned_tokenizer(base, products, config.model.vocabulary)
    tokenizer.save(str(where / TOKENIZER))
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda one: one[1])
    words = [one for one, _ in vocabulary if one.isascii() and one.isalpha() and len(one) > 2]
    corpus = make_corpus(products, words, settings.seed)
    if not place.first:
        wait_for_all(place)
    lesson = read_lesson(where, base, corpus, config)
    if place.first:
        wait_for_all(place)
    student = shrunk(base, ids, config)
    limited = without_limits(tokenizer, config.model.product_tokens)
    plan = DistilPlan(
        settings.epochs,
        settings.learning_rate,
        settings.batch_tokens,
        settings.seed,
        config.train.mixed,
        config.train.threads,
    )
    losses = distil(student, limited, lesson, plan, where / ENCODER)
    print("1 - cosine to the teacher by epoch: " + ", ".join(f"{one:.4f}" for one in losses))
    fit_folds(Base(student, tokenizer), where, prepared, config)


def load_student(run: Path) -> Base:
    """Loads the distilled encoder and its tokenizer; ``FileNotFoundError`` before ``compress``."""
    where = run / STUDENT
    if not (where / ENCODER).is_file():
        raise FileNotFoundError(f"{where / ENCODER} is missing; run `compress --method distil`")
    state = torch.load(where / ENCODER, weights_only=True, map_location="cpu")["model"]
    return Base(encoder_of(state), Tokenizer.from_file(str(where / TOKENIZER)))


def encoder_of(state: dict[str, torch.Tensor]) -> Bert:
    """Builds an encoder of the sizes that its weights have, in evaluation mode."""
    from podium_models.text.nn.bert import BertShape
    from podium_models.text.nn.minilm import HEADS

    widths: list[int] = []
    while f"blocks.{len(widths)}.up.weight" in state:
        widths.append(len(state[f"blocks.{len(widths)}.up.weight"]))
    tokens, positions = state["tokens.weight"], state["positions.weight"]
    shape = BertShape(len(tokens), len(positions), tokens.shape[1], HEADS, tuple(widths))
    bert = Bert(shape)
    bert.load_state_dict(state)
    return bert.eval()
