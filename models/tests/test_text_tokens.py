"""Prunes a WordPiece tokenizer, batches texts, and makes texts to imitate a teacher on."""

from __future__ import annotations

import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers")

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

from podium_models.text.config import ModelConfig  # noqa: E402
from podium_models.text.evaluation.onnx_lists import ListFeeds  # noqa: E402
from podium_models.text.tokens.batches import buckets, encode, pad, without_limits  # noqa: E402
from podium_models.text.tokens.pruning import (  # noqa: E402
    SPECIAL,
    choose_pieces,
    piece_counts,
    prune,
    unknown_share,
)
from podium_models.text.training.corpus import ProductText, make_corpus  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789é"
WORDS = [
    "speaker",
    "speak",
    "##er",
    "##ers",
    "cable",
    "mouse",
    "blue",
    "##tooth",
    "rare",
    "[unused1]",
]


@pytest.fixture(scope="module")
def tokenizer():
    """Returns a small tokenizer in the form of MiniLM's."""
    pieces = [*SPECIAL, *LETTERS, *("##" + one for one in LETTERS), *WORDS]
    found = Tokenizer(models.WordPiece({one: n for n, one in enumerate(pieces)}, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(strip_accents=False)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    found.add_special_tokens(list(SPECIAL))
    return found


@pytest.fixture(scope="module")
def pruned(tokenizer):
    """Returns a tokenizer that lost ``rare``, ``mouse`` and the unused piece, and its old ids."""
    counts = piece_counts(tokenizer, ["speakers speaker bluetooth cable"] * 2)
    size = tokenizer.get_vocab_size() - 3
    pieces = choose_pieces(tokenizer.get_vocab(), counts, size)
    assert len(pieces) == size
    return prune(tokenizer, pieces)


def test_characters_specials_and_used_pieces_stay(pruned):
    small, _ = pruned
    kept = set(small.get_vocab())
    assert {*SPECIAL, *LETTERS, "speaker", "##s", "##tooth", "cable", "blue"} <= kept
    assert "[unused1]" not in kept


@pytest.mark.parametrize("text", ["blue speaker", "Bluetooth cable", "speakers é7", "", "漢 ?"])
def test_texts_of_kept_pieces_are_cut_as_before(tokenizer, pruned, text):
    small, old_ids = pruned
    new, old = small.encode(text), tokenizer.encode(text)
    assert new.tokens == old.tokens
    assert [old_ids[one] for one in new.ids] == old.ids


def test_pairs_keep_their_segments(tokenizer, pruned):
    small, old_ids = pruned
    new, old = small.encode("blue", "speaker cable"), tokenizer.encode("blue", "speaker cable")
    assert [old_ids[one] for one in new.ids] == old.ids
    assert new.type_ids == old.type_ids


def test_a_lost_word_is_spelt_and_not_unknown(tokenizer, pruned):
    small, _ = pruned
    lost = set(tokenizer.get_vocab()) - set(small.get_vocab()) - {"[unused1]"}
    assert lost
    for word in lost:
        tokens = small.encode(word, add_special_tokens=False).tokens
        assert "".join(one.removeprefix("##") for one in tokens) == word.removeprefix("##")
    assert unknown_share(small, [*lost, "speakers"]) == 0.0
    assert unknown_share(small, ["漢"]) == 1.0


def test_batches_hold_every_text_once_and_little_padding():
    lengths = np.random.default_rng(1).integers(1, 40, 200).tolist()
    for random in (None, np.random.default_rng(3)):
        batches = list(buckets(lengths, 120, random))
        assert sorted(np.concatenate(batches).tolist()) == list(range(200))
        sizes = [max(lengths[one] for one in batch) * len(batch) for batch in batches]
        assert max(sizes) <= 120
        assert sum(sizes) < 1.2 * sum(lengths)


def test_a_text_longer_than_a_batch_stands_alone():
    assert [one.tolist() for one in buckets([500, 3], 100)] == [[1], [0]]


def test_texts_are_cut_and_padded_on_the_right(tokenizer):
    cut = without_limits(tokenizer, 4)
    tokens = pad(encode(cut, ["blue cable mouse speaker", "blue"]))
    assert tokens.ids.shape == (2, 4)
    assert tokens.ids[0, 3] == tokens.ids[1, 2] == 3
    assert tokens.mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert tokens.ids[1, 3] == 0


def test_feeds_cut_queries_and_products_by_their_own_limits(tokenizer):
    long = "blue cable mouse speaker " * 20
    model = ModelConfig(query_tokens=5, product_tokens=9)
    feeds = ListFeeds(tokenizer, model)(long, [long, "cable"])
    assert feeds["query_ids"].shape == (1, 5)
    assert feeds["product_ids"].shape == (2, 9)
    assert feeds["user_index"].tolist() == [0, 0]
    joint = ListFeeds(tokenizer, ModelConfig(form="cross", product_tokens=9))("blue", ["cable"])
    assert joint["types"].tolist() == [[0, 0, 0, 1, 1]]


def test_the_corpus_is_of_the_seed_and_of_the_products_words():
    products = [
        ProductText(f"Acme Turbo speaker {n} black", "Acme", "Plays music" if n % 2 else "")
        for n in range(20)
    ]
    texts = make_corpus(products, ["cable", "mouse"], 5)
    assert texts == make_corpus(products, ["cable", "mouse"], 5)
    assert texts != make_corpus(products, ["cable", "mouse"], 6)
    assert len(texts) == len(set(texts))
    assert {one.title for one in products} <= set(texts)
    allowed = {"Acme", "Turbo", "speaker", "black", "Plays", "music", "cable", "mouse"}
    assert {word for one in texts for word in one.split()} <= allowed | {str(n) for n in range(20)}
