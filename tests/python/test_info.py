"""What the server says of itself: limits, models, an example, items."""

from __future__ import annotations

from typing import Any

from client import INFO_SERVICE, TIMEOUT, Client, refusal

TINY = {"name": "tiny-ranker"}


def described(client: Client, name: str, version: int) -> Any:
    """Returns the description of one model version."""
    found = [model for model in client.info().models if (model.name, model.version) == (name, version)]
    assert len(found) == 1
    return found[0]


def test_limits_and_versions_are_told(client: Client) -> None:
    info = client.info()
    assert info.server_version
    assert "ORT Build Info" in info.onnxruntime_build
    for field in client.pool.FindMessageTypeByName("podium.v1.Limits").fields:
        assert getattr(info.limits, field.name) > 0, field.name
    assert info.process_cpu_us > 0
    assert info.process_peak_rss_bytes > 1 << 20


def test_models_are_told_in_order(client: Client) -> None:
    models = [(model.name, model.version) for model in client.info().models]
    assert models == sorted(models)
    assert {("tiny-ranker", 1), ("tiny-ranker", 2), ("tiny-encoder", 1)} <= set(models)


def test_a_ranker_is_described(client: Client) -> None:
    one, two = described(client, "tiny-ranker", 1), described(client, "tiny-ranker", 2)
    assert (list(one.labels), list(two.labels)) == ([], ["latest"])
    assert client.enum_name("ModelRole", one.role) == "MODEL_ROLE_RANKER"
    assert (one.device, one.encoder_name, one.encoder_version) == ("cpu", "tiny-encoder", 1)
    assert list(one.outputs) == ["click", "margin"]
    assert one.instances >= 1
    features = {
        (feature.name, client.enum_name("FeatureScope", feature.scope)): (feature.type, feature.required)
        for feature in one.features
    }
    assert features["price", "FEATURE_SCOPE_CANDIDATE"] == ("float", True)
    assert features["boost", "FEATURE_SCOPE_CANDIDATE"] == ("float", False)
    assert features["popularity", "FEATURE_SCOPE_CANDIDATE"] == ("float", False)
    assert features["hour", "FEATURE_SCOPE_CONTEXT"] == ("float", False)


def test_a_text_ranker_tells_what_it_needs(client: Client) -> None:
    features = {
        feature.name: (client.enum_name("FeatureScope", feature.scope), feature.type, feature.required)
        for feature in described(client, "text-ranker", 1).features
    }
    assert features["title"] == ("FEATURE_SCOPE_CANDIDATE", "string", True)
    assert features["query"] == ("FEATURE_SCOPE_QUERY", "string", False)


def test_the_example_can_be_ranked(client: Client) -> None:
    request = client.message("GetExampleRequest", model=TINY)
    example = client.method(INFO_SERVICE, "GetExample")(request, timeout=TIMEOUT).request
    assert not example.HasField("user")
    example.model.name = "tiny-ranker"
    answer = client.method("podium.v1.RankService", "Rank")(example, timeout=TIMEOUT)
    assert len(answer.items) == len(example.candidates.ids) == 20


def test_a_model_without_an_example_answers_with_an_empty_one(client: Client) -> None:
    request = client.message("GetExampleRequest", model={"name": "list-ranker"})
    example = client.method(INFO_SERVICE, "GetExample")(request, timeout=TIMEOUT).request
    assert not example.candidates.ids


def test_an_example_of_an_unknown_model_is_not_found(client: Client) -> None:
    request = client.message("GetExampleRequest", model={"name": "no-such-model"})
    failed = refusal(lambda: client.method(INFO_SERVICE, "GetExample")(request, timeout=TIMEOUT))
    assert failed.code.name == "NOT_FOUND"


def test_items_are_told_from_the_catalogue(client: Client) -> None:
    request = client.message("GetItemsRequest", model=TINY, ids=["item-07", "nobody"])
    answer = client.method(INFO_SERVICE, "GetItems")(request, timeout=TIMEOUT)
    columns = {column.name: list(column.strings.values) for column in answer.columns}
    assert columns == {"department": ["produce", ""], "title": ["Item 7, fresh", ""]}


def test_too_many_items_are_refused(client: Client) -> None:
    ids = [f"i{number}" for number in range(client.info().limits.max_candidates + 1)]
    request = client.message("GetItemsRequest", model=TINY, ids=ids)
    failed = refusal(lambda: client.method(INFO_SERVICE, "GetItems")(request, timeout=TIMEOUT))
    assert failed.code.name == "INVALID_ARGUMENT"
