"""Checks settings, vocabularies and stored data."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.ranker.config import KIND, Config
from podium_models.ranker.data.prepared import load_prepared, save_prepared
from podium_models.sequence.config import Config as SequenceConfig
from podium_models.settings import from_json, override, to_json
from podium_models.text.config import Config as TextConfig


def test_settings_survive_json():
    config = override(Config(), ["train.seed=3", "model.dropout=0.25"])
    assert from_json(to_json(KIND, config), Config()) == config
    assert (config.train.seed, config.model.dropout) == (3, 0.25)


@pytest.mark.parametrize("setting", ["seed=3", "train.sed=3", "trian.seed=3", "train.seed"])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match="unknown setting"):
        override(Config(), [setting])


def test_a_value_of_another_type_is_refused_with_its_name():
    with pytest.raises(ValueError, match=r"train\.epochs: invalid literal"):
        override(Config(), ["train.epochs=many"])


@pytest.mark.parametrize("config", [Config(), SequenceConfig(), TextConfig()])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_value_out_of_bounds_is_refused_with_its_name(config, value):
    with pytest.raises(ValueError, match=rf"train\.epochs {value} is not at least 1"):
        override(config, [f"train.epochs={value}"])
    with pytest.raises(ValueError, match=r"train\.learning_rate nan is not at least 0"):
        override(config, ["train.learning_rate=nan"])


def test_settings_of_a_section_are_checked_together():
    model = override(SequenceConfig(), ["model.width=15", "model.heads=3"]).model
    assert (model.width, model.heads) == (15, 3)
    with pytest.raises(ValueError, match="multiple"):
        override(SequenceConfig(), ["model.width=15"])


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
