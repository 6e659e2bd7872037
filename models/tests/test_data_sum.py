"""Checks that models stay with the data they were trained on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from podium_models.data_sum import require_same_data, sum_of, write_sum


def test_a_sum_tells_contents_apart():
    same = [sum_of(np.arange(3), "a"), sum_of(np.arange(3), "a")]
    others = [
        sum_of(np.arange(3, dtype=np.int32), "a"),
        sum_of(np.arange(3).reshape(3, 1), "a"),
        sum_of(np.arange(3), "b"),
        sum_of(pl.DataFrame({"x": [0, 1, 2]}), "a"),
        sum_of(pl.DataFrame({"y": [0, 1, 2]}), "a"),
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 1 + len(others)


def test_other_data_is_refused_once_a_model_is_there(tmp_path):
    prepared, model = tmp_path / "prepared", tmp_path / "latest.pt"
    prepared.mkdir()
    require_same_data(prepared, "1", [model])
    write_sum(prepared, "1")
    require_same_data(prepared, "2", [model])
    model.touch()
    require_same_data(prepared, "1", [model])
    with pytest.raises(ValueError, match="other data"):
        require_same_data(prepared, "2", [model])
    model.unlink()
    (tmp_path / "tune").mkdir()
    with pytest.raises(ValueError, match="other data"):
        require_same_data(prepared, "2", [model])
