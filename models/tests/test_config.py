"""Checks settings, vocabularies and stored data."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.ranker.config import KIND, Config
from podium_models.ranker.data.prepared import load_prepared, save_prepared
from podium_models.settings import from_json, override, to_json


def test_settings_survive_json():
    config = override(Config(), ["train.seed=3", "model.dropout=0.25"])
    assert from_json(to_json(KIND, config), Config()) == config
    assert (config.train.seed, config.model.dropout) == (3, 0.25)


@pytest.mark.parametrize("setting", ["seed=3", "train.sed=3", "trian.seed=3", "train.seed"])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match="unknown setting"):
        override(Config(), [setting])


def test_vocabulary_starts_at_two_and_knows_the_unknown():
    words = Vocabulary(("b", "a"))
    assert words.indices(["b", "a", "c"]) == [2, 3, 1]
    assert Vocabulary.from_text(words.to_text()) == words
    with pytest.raises(ValueError, match="once"):
        Vocabulary(("a", "a"))


def test_prepared_data_survives_the_disk(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="prepare"):
        load_prepared(tmp_path)
    save_prepared(prepared, tmp_path)
    loaded = load_prepared(tmp_path)
    assert loaded.items == prepared.items
    assert np.array_equal(loaded.pairs.candidates, prepared.pairs.candidates)
    assert np.array_equal(loaded.histories.days, prepared.histories.days)
    assert loaded.items_table.equals(prepared.items_table)


def test_preparing_twice_gives_the_same(prepared, config):
    from made_up import made_up_journey

    from podium_models.ranker.prepare import build_prepared

    again = build_prepared(made_up_journey(), config)
    assert np.array_equal(again.pairs.candidates, prepared.pairs.candidates)
    assert np.array_equal(again.features.popularity, prepared.features.popularity)
