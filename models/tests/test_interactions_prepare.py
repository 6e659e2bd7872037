"""Prepares made-up logs of every format and holds the result against a plain reading of them."""

from __future__ import annotations

import json
import random

import numpy as np
import polars as pl
import pytest

from podium_models.cli import main
from podium_models.sequence.data.interactions import load_interactions

PLOTS = ("history_lengths", "item_popularity", "events_over_time", "splits")


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Returns a function that runs the command on text or arguments and loads what it wrote."""

    def call(content, *arguments, name="log.csv", run="run", plots=False):
        if not plots:
            monkeypatch.setattr("podium_models.sequence.data.prepare.find_spec", lambda _: None)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        where = tmp_path / run
        given = ["prepare", "interactions", str(path), *map(str, arguments), "--run", str(where)]
        assert main(given) == 0
        return load_interactions(where / "prepared")

    return call


def histories(data):
    """Lists each user's items by name, oldest first."""
    return [
        [data.items.names[item - 2] for item in data.event_items[start:end]]
        for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True)
    ]


def assert_adds_up(data):
    """Checks that no event, user or item is lost uncounted, and that the parts stand in order."""
    report = data.report
    events = report["events"]
    assert events["read"] == events["kept"] + sum(events["dropped"].values())
    assert events["kept"] == len(data.event_items) == data.offsets[-1]
    for what, kept in (("users", len(data.users)), ("items", len(data.items.names))):
        counts = report[what]
        assert counts["read"] == counts["kept"] + counts["dropped_k_core"]
        assert counts["kept"] == kept
    split = report["split"]
    assert events["kept"] == sum(
        split[f"{part}_events"] for part in ("train", "validation", "test")
    )
    assert (data.offsets[:-1] <= data.train_ends).all()
    assert (data.train_ends <= data.validation_ends).all()
    assert (data.validation_ends <= data.offsets[1:]).all()
    for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        assert (np.diff(data.event_times[start:end]) >= 0).all()


def test_s3rec_text_keeps_order_and_repeats(prepare):
    data = prepare("7 10 2 2 3\n\n8 3 10\r\n9 2\n", name="log.txt")
    assert histories(data) == [["10", "2", "2", "3"], ["3", "10"], ["2"]]
    assert data.items.names == ("2", "3", "10")
    assert data.event_times.tolist() == [0, 1, 2, 3, 0, 1, 0]
    assert data.report["source"]["format"] == "s3rec"
    assert data.train_ends.tolist() == [2, 6, 7]
    assert data.validation_ends.tolist() == [3, 6, 7]
    assert_adds_up(data)


def test_a_user_on_several_lines_has_one_history(prepare):
    data = prepare("1 5 6\n2 6\n1 7\n", name="log.txt")
    assert histories(data) == [["5", "6", "7"], ["6"]]


def test_users_are_pseudonymous_by_a_salt_that_stays(prepare, tmp_path):
    first = prepare("user,item,time\nanna,a,1\nbob,b,2\n")
    again = prepare("user,item,time\nbob,b,2\n")
    other = prepare("user,item,time\nbob,b,2\n", run="other")
    assert first.users[1] == again.users[0] != other.users[0]
    assert "bob" not in (tmp_path / "run" / "prepared" / "users.txt").read_text()
    assert (tmp_path / "run" / "salt").stat().st_mode & 0o077 == 0
    given = prepare(
        "user,item,time\nbob,b,2\n", "--salt-file", tmp_path / "run" / "salt", run="third"
    )
    assert given.users == again.users
    assert not (tmp_path / "third" / "salt").exists()


def test_times_of_any_unit_and_form_are_one_clock(prepare):
    moments = (
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "1.7e9",
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20",
        "2023-11-14T23:13:20.5+01:00",
        "2023-11-14",
    )
    lines = [f"u{number},i,{moment}" for number, moment in enumerate(moments)]
    data = prepare("user,item,time\n" + "\n".join(lines))
    assert data.event_times.tolist() == [1_700_000_000] * 7 + [1_699_920_000]


def test_unsorted_times_are_sorted_and_counted_and_ties_keep_the_order(prepare):
    data = prepare("user,item,time\na,x,5\na,y,3\na,z,3\nb,x,1\na,w,9\n")
    assert histories(data) == [["y", "z", "x", "w"], ["x"]]
    assert data.report["treated"]["events_sorted_because_a_later_one_came_first"] == 1
    assert_adds_up(data)


def test_bad_rows_are_dropped_and_counted_by_reason(prepare):
    rows = [
        "a,x,1",
        ",x,1",
        " ,x,1",
        "a,,1",
        "a,x,",
        "a,x,soon",
        "a,x,NaN",
        "a,x,inf",
        "a,x,-5",
        "a,x,99999999999",
        f"{'u' * 129},x,1",
        f"a,{'i' * 129},1",
        'a,"x\ny",1',
        "a,x\u2028y,1",
        "a,x,1",
        "a,x,2",
        "",
    ]
    data = prepare("user,item,time\n" + "\n".join(rows) + "\n")
    assert data.report["events"]["dropped"] == {
        "other_event": 0,
        "empty_user": 3,  # one of them the blank line
        "empty_item": 1,
        "bad_user_id": 1,
        "bad_item_id": 3,
        "bad_time": 6,
        "duplicate": 1,
        "k_core": 0,
    }
    assert data.report["events"]["kept"] == 2
    assert_adds_up(data)


def test_events_of_other_kinds_are_dropped(prepare):
    content = "user,item,time,event\na,x,1,view\na,y,2,purchase\na,z,3,cart\na,w,4,\n"
    data = prepare(content, "--events", "view,purchase")
    assert histories(data) == [["x", "y"]]
    assert data.report["events"]["dropped"]["other_event"] == 2


def test_columns_and_separators_are_named_or_guessed(prepare):
    data = prepare(
        b"\xef\xbb\xbfwho;what;when\r\na;x;1\r\na;y;2\r\n",
        *("--user", "who", "--item", "what", "--time", "when"),
    )
    assert histories(data) == [["x", "y"]]


def test_a_log_without_times_counts_by_its_order(prepare):
    data = prepare("user,item\na,x\nb,x\na,x\na,y\n", "--time", "none")
    assert histories(data) == [["x", "x", "y"], ["x"]]
    assert data.event_times.tolist() == [0, 1, 2, 0]


def test_parquet_takes_numbers_and_moments(prepare, tmp_path):
    frame = pl.DataFrame(
        {
            "user": [1, 1, 2, None],
            "item": [30, 4, 30, 4],
            "time": ["2024-01-02", "2024-01-01", "2024-01-03", "2024-01-03"],
        }
    ).with_columns(pl.col("time").str.to_datetime("%Y-%m-%d"))
    path = tmp_path / "made.parquet"
    frame.write_parquet(path)
    data = prepare(path.read_bytes(), name="log.parquet")
    assert histories(data) == [["4", "30"], ["30"]]
    assert data.items.names == ("4", "30")
    assert data.report["events"]["dropped"]["empty_user"] == 1


def test_several_files_are_one_log(prepare, tmp_path):
    more = tmp_path / "more.csv"
    more.write_text("time,item,user\n0,early,a\n")
    data = prepare("user,item,time\na,x,1\n", more)
    assert histories(data) == [["early", "x"]]


def random_log(seed: int) -> list[tuple[str, str, int]]:
    """Draws events with ties, repeats, short histories and no order."""
    draw = random.Random(seed)
    users, items = draw.randint(1, 12), draw.randint(1, 9)
    return [
        (f"u{draw.randrange(users)}", f"i{draw.randrange(items)}", draw.randrange(40))
        for _ in range(draw.randint(1, 120))
    ]


def core_by_hand(events, k):
    """Drops rare users and items one after another until none is left."""
    while True:
        users = [event[0] for event in events]
        items = [event[1] for event in events]
        kept = [e for e in events if users.count(e[0]) >= k and items.count(e[1]) >= k]
        if len(kept) == len(events):
            return kept
        events = kept


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "split",
    [["leave-one-out"], ["ratio"], ["time", "--validation-from", "20", "--test-from", "30"]],
    ids=lambda split: split[0],
)
def test_splits_never_leak_and_counts_add_up(prepare, seed, split):
    events = random_log(seed)
    content = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in events)
    data = prepare(content, "--split", *split)
    assert_adds_up(data)
    distinct = list(dict.fromkeys(events))
    wanted: dict[str, list[str]] = {}
    for user, item, _ in sorted(distinct, key=lambda event: event[2]):
        wanted.setdefault(user, []).append(item)
    assert histories(data) == [wanted[user] for user in dict.fromkeys(e[0] for e in events)]
    for start, train, both, end in zip(
        data.offsets[:-1], data.train_ends, data.validation_ends, data.offsets[1:], strict=True
    ):
        length = end - start
        if split[0] == "leave-one-out":
            assert (both - train, end - both) == ((1, 1) if length >= 3 else (0, 0))
        elif split[0] == "ratio":
            assert train - start >= 0.7 * length
            assert (both == end) == (length < 5)
        else:
            assert (data.event_times[start:train] < 20).all()
            assert (data.event_times[train:both] >= 20).all()
            assert (data.event_times[train:both] < 30).all()
            assert (data.event_times[both:end] >= 30).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_core_is_what_dropping_by_hand_leaves(prepare, seed, tmp_path):
    events = list(dict.fromkeys(random_log(seed) + random_log(seed + 100)))
    content = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in events)
    kept = core_by_hand(events, 4)
    if not kept:
        path = tmp_path / "log.csv"
        path.write_text(content)
        assert main(["prepare", "interactions", str(path), "--k-core", "4"]) == 1
        return
    data = prepare(content, "--k-core", "4")
    assert len(data.event_items) == len(kept)
    assert set(data.items.names) == {event[1] for event in kept}
    assert_adds_up(data)


def test_parts_join_to_the_same_whole(prepare, monkeypatch):
    events = random_log(3) + random_log(4)
    content = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in events)
    whole = prepare(content, "--k-core", "3")
    monkeypatch.setattr("podium_models.sequence.data.number.PART_EVENTS", 10)
    parted = prepare(content, "--k-core", "3", run="parted")
    assert histories(parted) == histories(whole)
    assert parted.event_times.tolist() == whole.event_times.tolist()


def test_pieces_join_to_the_same_whole(prepare, monkeypatch):
    content = "".join(f"{u} " + " ".join(str(u * i % 7) for i in range(9)) + "\n" for u in range(9))
    whole = prepare(content, name="log.txt")
    monkeypatch.setattr("podium_models.sequence.data.text_scan.CHUNK_BYTES", 16)
    assert histories(prepare(content, name="log.txt", run="pieces")) == histories(whole)


def test_the_report_stands_beside_the_data(prepare, tmp_path):
    prepare("user,item,time\na,x,1\na,y,2\na,z,3\n")
    where = tmp_path / "run" / "prepared"
    assert "| read | 3 |" in (where / "report.md").read_text()
    assert json.loads((where / "report.json").read_text())["events"]["kept"] == 3
    assert not (tmp_path / "run" / "prepare.tmp").exists()


@pytest.mark.parametrize("content", ["user,item,time\na,x,1\na,y,2\na,z,3\n", "1 2 3 4\n5 2\n"])
def test_plots_are_drawn_where_matplotlib_is(prepare, tmp_path, content):
    pytest.importorskip("matplotlib")
    prepare(content, "--format", "csv" if "," in content else "s3rec", plots=True)
    where = tmp_path / "run" / "prepared"
    for name in PLOTS:
        assert (where / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({name}.png)" in (where / "report.md").read_text()
