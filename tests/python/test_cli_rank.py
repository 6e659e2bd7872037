"""`podium rank` as a person uses it, against a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from expected import TinyRequest, check_scores
from server import Server, free_port, podium


def rank(server: Server, *arguments: str | Path) -> str:
    """Runs `podium rank` and returns what it prints."""
    ended = podium("rank", "--target", f"http://{server.address}", *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_example_is_ranked_as_a_table(server: Server) -> None:
    said = rank(server, "--model", "tiny-ranker", "--top", "5")
    assert "tiny-ranker" in said
    rows = [line for line in said.splitlines() if "fresh" in line]
    assert len(rows) == 5, said
    assert any("dairy" in row or "bakery" in row or "produce" in row or "frozen" in row for row in rows)


def test_json_is_the_response_in_proto3s_mapping(server: Server, client: Any) -> None:
    said = rank(server, "--model", "tiny-ranker", "--user", "anna", "--top", "0", "--json")
    answer = json_format.Parse(said, client.message("RankResponse"))
    assert len(answer.items) == 20
    fields = json.loads(said)
    assert {"items", "model_name", "model_version", "user_state"} <= set(fields)
    assert fields["user_state"] in ("USER_STATE_COMPUTED", "USER_STATE_CACHED")


def test_candidates_come_from_a_csv_file(server: Server, client: Any, tmp_path: Path) -> None:
    asked = TinyRequest(["item-05", "item-06", "item-40"], [3.0, 2.0, 1.0], hour=3.0)
    file = tmp_path / "candidates.csv"
    rows = [f"{price},{item}" for item, price in zip(asked.ids, asked.prices, strict=True)]
    file.write_text("price,item\n" + "\n".join(rows) + "\n")
    said = rank(
        server, "--model", "tiny-ranker", "--candidates", file, "--context", "hour=3", "--top", "0", "--json"
    )  # fmt: skip
    check_scores(json_format.Parse(said, client.message("RankResponse")), asked.scores()[0])


def test_a_model_without_an_example_takes_candidates_from_a_file(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "candidates.csv"
    file.write_text("id,price\na,1\nb,2\n")
    answer = json.loads(rank(server, "--model", "nan-ranker", "--candidates", file, "--json"))
    assert [item["id"] for item in answer["items"]] == ["b", "a"]


def test_a_server_that_is_not_there_says_what_to_do() -> None:
    ended = podium("rank", "--target", f"http://127.0.0.1:{free_port()}")
    assert ended.returncode != 0
    assert "make serve" in ended.stderr
    assert "panicked" not in ended.stderr


def test_a_refusal_is_told_in_words(server: Server) -> None:
    ended = podium("rank", "--target", f"http://{server.address}", "--model", "no-such-model")
    assert ended.returncode != 0
    assert "no-such-model" in ended.stderr
    assert ended.stdout == ""


def test_an_answer_that_comes_too_late_names_the_flag(server: Server) -> None:
    ended = podium("rank", "--target", f"http://{server.address}", "--model", "tiny-ranker", "--deadline-ms", "1")
    assert ended.returncode != 0, ended.stdout
    assert "It had 1 ms; give it more time with --deadline-ms." in ended.stderr
