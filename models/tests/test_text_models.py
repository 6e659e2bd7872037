"""Holds the encoder, its smaller forms and its graphs together, on tiny random weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from test_text_tokens import tokenizer  # noqa: E402, F401

from podium_models.compression.quantise import quantise_rowwise  # noqa: E402
from podium_models.settings import override  # noqa: E402
from podium_models.text.config import Config, TrainConfig  # noqa: E402
from podium_models.text.data.prepared import Prepared, RatedList  # noqa: E402
from podium_models.text.evaluation.lists import ndcg_at  # noqa: E402
from podium_models.text.evaluation.onnx_lists import ListFeeds, OnnxRanker  # noqa: E402
from podium_models.text.evaluation.scoring import score_bi, score_cross  # noqa: E402
from podium_models.text.export.golden import golden  # noqa: E402
from podium_models.text.export.graph import random_feeds, write_graph  # noqa: E402
from podium_models.text.nn.bert import Bert, BertShape  # noqa: E402
from podium_models.text.nn.embed import embed_texts  # noqa: E402
from podium_models.text.nn.ranker import Top  # noqa: E402
from podium_models.text.nn.served import BiServed, bare, merged  # noqa: E402
from podium_models.text.nn.shrink import shrink, strongest_neurons  # noqa: E402
from podium_models.text.tokens.batches import without_limits  # noqa: E402
from podium_models.text.training.distil import DistilPlan, Lesson, distil  # noqa: E402
from podium_models.text.training.losses import listwise, pairwise, pointwise  # noqa: E402
from podium_models.text.training.resume import hold, settings_of  # noqa: E402
from podium_models.text.training.student import encoder_of  # noqa: E402
from podium_models.text.training.teacher import Base, fit_folds, load_top  # noqa: E402

WIDTH, POSITIONS = 24, 64


def tiny(vocabulary, layers=3, ffn=32, seed=0):
    """Returns a random encoder."""
    torch.manual_seed(seed)
    return Bert(BertShape(vocabulary, POSITIONS, WIDTH, 12, (ffn,) * layers)).eval()


@pytest.fixture(scope="module")
def bert(tokenizer):  # noqa: F811
    """Returns an encoder of the tokenizer's size."""
    return tiny(tokenizer.get_vocab_size())


def top_of(bert, form="bi", tuned=1):
    """Returns a top whose parts all differ from their start."""
    torch.manual_seed(3)
    top = Top(bert, form, tuned).eval()
    with torch.no_grad():
        for one in top.parameters():
            one.add_(torch.randn_like(one) * 0.05)
    return top


def judged(folds=2):
    """Returns a prepared shop in which a query's word stands in what is rated 3."""
    words = ("speaker", "cable", "mouse", "blue")
    titles = [f"{word} {other} {n}" for word in words for n, other in enumerate("abcdef")]
    table = pl.DataFrame(
        {"item": [f"p{n:02}" for n in range(len(titles))], "title": titles}
    ).with_columns(brand=pl.lit(""), description=pl.lit("rare"))
    lists = tuple(
        RatedList(word, np.r_[n * 6 : n * 6 + 4, (n * 6 + 5)], np.array([3, 3, 0, 0, 1]), n % folds)
        for n, word in enumerate(words)
    )
    return Prepared(table, lists)


@pytest.mark.parametrize("form", ["bi", "cross"])
def test_torch_and_onnx_agree_on_texts(tmp_path, bert, tokenizer, form):  # noqa: F811
    top, config = top_of(bert, form), override(Config(), [f"model.form={form}"])
    path = tmp_path / "r.onnx"
    assert write_graph(bert, top, path) < 1e-4
    model = dataclasses.replace(config.model, product_tokens=POSITIONS)
    texts = ["blue speaker", "é", "cable mouse " * 70, "x"]
    served = OnnxRanker(path, ListFeeds(tokenizer, model)).score("bluetooth cable", texts)
    limited = without_limits(tokenizer, POSITIONS)
    score = score_bi if form == "bi" else score_cross
    ranker = merged(bert, top), bare(bert, top)
    assert score(ranker, limited, "bluetooth cable", texts) == pytest.approx(served, abs=1e-4)


def test_a_graph_that_differs_is_refused(tmp_path, bert, monkeypatch):
    from podium_models.text.export import graph

    monkeypatch.setattr(graph, "outputs_of", lambda *_: [np.zeros(1)])
    monkeypatch.setattr(graph, "largest_difference", lambda *_: 0.01)
    with pytest.raises(ArithmeticError, match="torch and ONNX Runtime differ by"):
        write_graph(bert, top_of(bert), tmp_path / "r.onnx")


@pytest.mark.parametrize("form", ["bi", "cross"])
def test_int8_scores_of_a_row_do_not_depend_on_its_neighbours(tmp_path, bert, tokenizer, form):  # noqa: F811
    write_graph(bert, top_of(bert, form), tmp_path / "r.onnx")
    quantise_rowwise(tmp_path / "r.onnx", tmp_path / "q.onnx")
    model = dataclasses.replace(Config().model, form=form, product_tokens=POSITIONS)
    ranker = OnnxRanker(tmp_path / "q.onnx", ListFeeds(tokenizer, model))
    texts = ["blue speaker", "a", "cable mouse " * 9, "speakers"]
    together = ranker.score("blue mouse", texts)
    alone = [ranker.score("blue mouse", [one])[0] for one in texts]
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.ptp(together) > 1e-3


def test_weights_of_both_sides_stand_in_the_graph_once(tmp_path, bert):
    write_graph(bert, top_of(bert), tmp_path / "r.onnx")
    weights = sum(one.numel() for one in bert.parameters())
    held = onnx.load(tmp_path / "r.onnx").graph.initializer
    assert weights * 0.9 < sum(np.prod(one.dims) for one in held) < weights * 1.1


@pytest.mark.parametrize("form", ["bi", "cross"])
def test_golden_vectors_are_what_the_graph_answers(tmp_path, bert, tokenizer, form):  # noqa: F811
    write_graph(bert, top_of(bert, form), tmp_path / "r.onnx")
    model = dataclasses.replace(Config().model, form=form, query_tokens=8, product_tokens=POSITIONS)
    cases = golden(tmp_path / "r.onnx", ListFeeds(tokenizer, model))["cases"]
    assert len({one["name"] for one in cases}) == len(cases) == 4
    assert all(np.isfinite(one["outputs"]["relevance"]["data"]).all() for one in cases)


def test_a_cut_encoder_of_the_same_size_answers_the_same(bert):
    shape = bert.shape
    same = shrink(bert, range(shape.layers), shape.ffn[0], range(shape.vocabulary), POSITIONS)
    top = Top(bert, "bi", 0)
    feeds = random_feeds(BiServed(bert, top), 4, (2, 5, 6, 9))
    given = [torch.from_numpy(feeds[one]) for one in ("product_ids", "product_mask")]
    with torch.no_grad():
        assert torch.allclose(bert(*given), same(*given), atol=1e-5)


def test_a_cut_encoder_keeps_what_was_asked_for(bert):
    ids = [0, 1, 2, 3, 4, 9, 7]
    small = shrink(bert, [0, 2], 8, ids, 10)
    assert small.shape == BertShape(7, 10, WIDTH, 12, (8, 8))
    assert torch.equal(small.tokens.weight, bert.tokens.weight[ids])
    kept = strongest_neurons(bert.blocks[2], 8)
    assert torch.equal(small.blocks[1].up.weight, bert.blocks[2].up.weight[kept])
    assert torch.equal(small.blocks[1].down.weight, bert.blocks[2].down.weight[:, kept])
    rebuilt = encoder_of(small.state_dict())
    assert rebuilt.shape == small.shape


def test_the_strongest_neurons_are_those_with_the_largest_weights():
    block = tiny(30).blocks[0]
    with torch.no_grad():
        block.up.weight[[3, 17]] *= 50
    assert strongest_neurons(block, 2).tolist() == [3, 17]


def test_padding_changes_no_vector(bert, tokenizer):  # noqa: F811
    limited = without_limits(tokenizer, POSITIONS)
    texts = ["blue", "cable mouse speaker " * 6]
    together = embed_texts(bert, limited, texts)
    alone = np.concatenate([embed_texts(bert, limited, [one]) for one in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_student_learns_its_teachers_vectors_and_resumes(tmp_path, bert, tokenizer):  # noqa: F811
    limited = without_limits(tokenizer, POSITIONS)
    texts = [f"{a} {b}" for a in ("blue", "cable", "mouse", "rare") for b in "abcdefghij"]
    lesson = Lesson(texts, embed_texts(bert, limited, texts))
    size = tokenizer.get_vocab_size()

    def taught(epochs, checkpoint):
        student = shrink(bert, [0], 16, range(size), POSITIONS)
        plan = DistilPlan(epochs, 5e-3, 64, 1, mixed=False)
        return distil(student, limited, lesson, plan, tmp_path / checkpoint), student

    losses, whole = taught(4, "whole.pt")
    assert losses[-1] < losses[0] / 2
    assert taught(4, "whole.pt")[0] == losses
    (tmp_path / "whole.pt").unlink()
    again, second = taught(4, "whole.pt")
    assert again == losses
    states = zip(whole.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)


def test_losses_are_least_for_the_right_order():
    ratings = torch.tensor([3.0, 1.0, 0.0])
    right, wrong = torch.tensor([2.0, 0.0, -2.0]), torch.tensor([-2.0, 0.0, 2.0])
    assert listwise(right, ratings, 1.0) < listwise(wrong, ratings, 1.0)
    assert pairwise(right, ratings, 1.0) < pairwise(wrong, ratings, 1.0)
    assert pointwise(right, ratings) < pointwise(wrong, ratings)
    equal = torch.zeros(3)
    assert listwise(right, equal, 1.0) == pairwise(right, equal, 1.0) == 0


@pytest.mark.parametrize("form", ["bi", "cross"])
def test_folds_are_fitted_once_without_what_they_test(tmp_path, bert, tokenizer, form):  # noqa: F811
    prepared = judged()
    settings = ["data.folds=2", "train.epochs=3", "train.mixed=false", f"model.form={form}"]
    config = override(Config(), [*settings, f"model.product_tokens={POSITIONS}"])
    base = Base(bert, tokenizer)
    fit_folds(base, tmp_path, prepared, config)
    assert (tmp_path / "curves.png").is_file()
    names = ("0", "1", "all")
    written = {one: (tmp_path / f"{one}.pt").stat().st_mtime_ns for one in names}
    fit_folds(base, tmp_path, prepared, config)
    assert written == {one: (tmp_path / f"{one}.pt").stat().st_mtime_ns for one in names}
    ndcg = [
        ndcg_at(
            (score_bi if form == "bi" else score_cross)(
                (merged(bert, top), bare(bert, top)),
                without_limits(tokenizer, POSITIONS),
                one.query,
                prepared.products["title"].to_numpy()[one.places].tolist(),
            ),
            one.ratings,
        )
        for top in (load_top(tmp_path, "all", bert, config),)
        for one in prepared.lists
    ]
    assert all(0 < one <= 1 for one in ndcg)


def test_a_fold_without_anything_to_train_on_is_refused(tmp_path, bert, tokenizer):  # noqa: F811
    prepared = judged()
    same = tuple(one._replace(places=prepared.lists[0].places) for one in prepared.lists)
    config = override(Config(), ["data.folds=2", "train.epochs=1", "train.mixed=false"])
    with pytest.raises(ValueError, match="without fold 0: no list is left to train on"):
        fit_folds(Base(bert, tokenizer), tmp_path, prepared._replace(lists=same), config)


def test_what_was_begun_with_other_settings_is_not_gone_on_with(tmp_path):
    prepared, config = judged(), Config()
    hold(tmp_path, settings_of(prepared, config, "train"))
    hold(tmp_path, settings_of(prepared, override(config, ["train.threads=2"]), "train"))
    other = override(config, ["train.epochs=9", "train.seed=1"])
    with pytest.raises(ValueError, match=r"begun with other train\.seed, train\.epochs; remove"):
        hold(tmp_path, settings_of(prepared, other, "train"))
    with pytest.raises(ValueError, match="begun with other data"):
        hold(tmp_path, settings_of(judged(folds=4), config, "train"))


@pytest.mark.parametrize(("form", "tuned"), [("both", 1), ("bi", 9), ("bi", -1)])
def test_unknown_forms_and_blocks_are_refused(bert, form, tuned):
    with pytest.raises(ValueError, match=r"model.form is 'both'|tuned_blocks is 0 to 3"):
        Top(bert, form, tuned)
    assert TrainConfig().tuned_blocks == 1
