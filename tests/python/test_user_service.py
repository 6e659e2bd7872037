"""`UserService`: what is recorded, stored and erased is what Rank works with, and every fault names its field."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

import tiny
from bundle import float32
from client import TIMEOUT, USER_SERVICE, Client, refusal
from expected import Events, TinyRequest, check_scores, tiny_request
from server import TEST_MODELS, Server
from slow import rounds_for, slow

IDS = ["item-03", "item-07", "item-11", "item-20", "item-49"]
PRICES = [1.0, 2.0, 3.0, 4.0, 5.0]
ENCODER: dict[str, Any] = {"encoder_name": "tiny-encoder", "encoder_version": 1}
NOBODY = {"history_length": 0, "recorded_events": 0, "state": "DEFAULT"}


def event(user: str, item: str, seconds: int, event_id: str = "", **more: Any) -> dict[str, Any]:
    """Returns an event, named after its item and time unless it has a name."""
    name = event_id or f"{item}@{seconds}"
    return {"event_id": name, "user_id": user, "item_id": item, "kind": 3, "time": {"seconds": seconds}} | more


def events(user: str, history: Events) -> list[dict[str, Any]]:
    """Returns the events of a history."""
    return [event(user, item, seconds) for item, seconds in history]


def ask(client: Client, user: str, **more: Any) -> Any:
    """Ranks the same candidates for a user."""
    return client.rank(**tiny_request(TinyRequest(IDS, PRICES)), user={"id": user}, **more)


def state(client: Client, answer: Any) -> str:
    """Returns the name of a user state."""
    number = answer.user_state if hasattr(answer, "user_state") else answer.state
    return client.enum_name("UserState", number).removeprefix("USER_STATE_")


def scores(history: Events) -> Any:
    """Returns the scores that the candidates have for such a user."""
    return TinyRequest(IDS, PRICES, history=history).scores()[0]


def stored(client: Client, user: str) -> tuple[str, Any]:
    """Returns the state of the user's embedding of the tiny encoder, and all that is said of it."""
    (found,) = [one for one in client.user(user).embeddings if one.encoder_name == "tiny-encoder"]
    assert found.encoder_version == 1
    return client.enum_name("EmbeddingState", found.state).removeprefix("EMBEDDING_STATE_"), found


def known(client: Client, user: str, model: str = "tiny-ranker") -> dict[str, Any]:
    """Returns what is known of a user, as far as it is not about embeddings."""
    answer = client.user(user, model)
    assert answer.user_id == user
    return {
        "history_length": answer.history_length,
        "recorded_events": answer.recorded_events,
        "state": state(client, answer),
    }


def test_the_next_rank_knows_what_was_recorded(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        history = tiny.stored_histories()["anna"]
        assert [state(client, ask(client, "anna")) for _ in range(2)] == ["COMPUTED", "CACHED"]
        # One event lies between those that the bundle ships, and one behind them.
        new = [("item-20", tiny.START + 60 * tiny.HOUR), ("item-11", tiny.START + 500 * tiny.HOUR)]
        answer = client.record(events("anna", new), request_id="r1")
        assert (answer.request_id, answer.recorded, answer.duplicates) == ("r1", 2, 0)
        answer = ask(client, "anna")
        assert state(client, answer) == "COMPUTED"
        check_scores(answer, scores(sorted(history + new, key=lambda event: event[1])))
        again = ask(client, "anna")
        assert state(client, again) == "CACHED"
        check_scores(again, scores(sorted(history + new, key=lambda event: event[1])))
        client.close()


def test_an_event_counts_once(client: Client) -> None:
    one, other = event("dup", "item-01", tiny.START), event("dup", "item-02", tiny.START + 5)
    first = client.record([one, other, one])
    assert (first.recorded, first.duplicates) == (2, 1)
    second = client.record([other, event("dup", "item-01", tiny.START, event_id="another")])
    assert (second.recorded, second.duplicates) == (1, 1)
    # The name belongs to the user.
    third = client.record([event("dup-too", "item-01", tiny.START)])
    assert (third.recorded, third.duplicates) == (1, 0)
    assert known(client, "dup") == {"history_length": 3, "recorded_events": 3, "state": "COMPUTED"}


def test_one_call_has_events_of_many_users(client: Client) -> None:
    histories = {f"many-{number}": [("item-05", tiny.START + number), ("item-06", tiny.START)] for number in range(9)}
    mixed = [event(user, *history[at]) for at in (0, 1) for user, history in histories.items()]
    assert client.record(mixed).recorded == 18
    for user, history in histories.items():
        check_scores(ask(client, user), scores(history[::-1]))


def test_a_kind_that_is_not_said_is_a_purchase_and_views_count_too(client: Client) -> None:
    mixed = [event("kinds", "item-05", tiny.START, kind=kind, event_id=f"e{kind}") for kind in range(4)]
    assert client.record(mixed).recorded == 4
    assert known(client, "kinds")["recorded_events"] == 4


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"event_id": ""}, "events[1].event_id"),
        ({"event_id": "x" * 200}, "events[1].event_id"),
        ({"user_id": ""}, "events[1].user_id"),
        ({"user_id": "x" * 200}, "events[1].user_id"),
        ({"item_id": ""}, "events[1].item_id"),
        ({"item_id": "x" * 200}, "events[1].item_id"),
        ({"kind": 9}, "events[1].kind"),
        ({"time": None}, "events[1].time"),
        ({"time": {"seconds": 1 << 60}}, "events[1].time"),
    ],
)
def test_a_faulty_event_is_named_and_nothing_is_recorded(client: Client, changed: dict[str, Any], field: str) -> None:
    good = event("faulty", "item-01", tiny.START)
    failed = refusal(lambda: client.record([good, event("faulty", "item-02", tiny.START) | changed]))
    assert failed.code.name == "INVALID_ARGUMENT"
    assert list(failed.violations()) == [field]
    assert known(client, "faulty") == NOBODY


def test_all_faults_are_told_at_once(client: Client) -> None:
    bad = event("", "item-01", tiny.START) | {"kind": 7, "time": None}
    failed = refusal(lambda: client.record([bad], request_id="x" * 200))
    assert list(failed.violations()) == ["request_id", "events[0].user_id", "events[0].kind", "events[0].time"]


def test_a_call_has_at_least_one_event_and_at_most_max_events(client: Client) -> None:
    most = client.info().limits.max_events
    assert most == 4096
    one = event("u", "item-01", tiny.START)
    for wrong in ([], [one] * (most + 1)):
        failed = refusal(partial(client.record, wrong))
        assert (failed.code.name, list(failed.violations())) == ("INVALID_ARGUMENT", ["events"])
    answer = client.record([event("most", "item-01", tiny.START)] * most)
    assert (answer.recorded, answer.duplicates) == (1, most - 1)


def test_a_user_is_known_step_by_step(client: Client) -> None:
    user = "steps"
    assert known(client, user) == NOBODY
    assert stored(client, user)[0] == "ABSENT"
    assert not client.user(user).HasField("last_event_time")
    client.record([event(user, "item-02", tiny.START + 7), event(user, "item-01", tiny.START)])
    assert known(client, user) == {"history_length": 2, "recorded_events": 2, "state": "COMPUTED"}
    assert client.user(user).last_event_time.seconds == tiny.START + 7
    before = time.time()
    ask(client, user)
    word, embedding = stored(client, user)
    assert (word, known(client, user)["state"]) == ("FRESH", "CACHED")
    assert abs(embedding.created_time.seconds - before) < 5
    assert embedding.age_ms < 5000
    client.record([event(user, "item-03", tiny.START + 9)])
    assert (stored(client, user)[0], known(client, user)["state"]) == ("STALE", "STALE")


def test_a_shipped_history_is_no_recorded_one(client: Client) -> None:
    answer = client.user("berta")
    assert (answer.history_length, answer.recorded_events) == (10, 0)
    assert answer.last_event_time.seconds == tiny.START + 9 * 17 * tiny.HOUR


def test_a_model_without_a_user_side_has_no_state(client: Client) -> None:
    client.record([event("plain", "item-01", tiny.START)])
    assert known(client, "plain", "nan-ranker")["state"] == "UNSPECIFIED"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"user_id": ""}, "INVALID_ARGUMENT"),
        ({"user_id": "x" * 200}, "INVALID_ARGUMENT"),
        ({"user_id": "u", "model": {"name": "no-such"}}, "NOT_FOUND"),
        ({"user_id": "u", "model": {"name": "tiny-encoder"}}, "INVALID_ARGUMENT"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(client: Client, fields: dict[str, Any], code: str) -> None:
    assert refusal(lambda: client.users("GetUser", "GetUserRequest", **fields)).code.name == code


def record_stream(client: Client, messages: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Any:
    """Records over one stream; returns the call, which gives the answers."""
    requests = (client.message("RecordEventsRequest", **fields) for fields in messages)
    return client.method(USER_SERVICE, "RecordEventsStream")(requests, timeout=TIMEOUT)


def test_a_stream_is_answered_in_order_and_survives_faults(client: Client) -> None:
    def message(number: int) -> dict[str, Any]:
        bad = number % 5 == 3
        one = event("" if bad else "streamed", "item-01", tiny.START + number)
        return {"request_id": f"r{number}", "events": [one]}

    answers = list(record_stream(client, [message(number) for number in range(200)]))
    assert [answer.request_id for answer in answers] == [f"r{number}" for number in range(200)]
    for number, answer in enumerate(answers):
        assert answer.HasField("error") == (number % 5 == 3)
        assert answer.recorded == (0 if number % 5 == 3 else 1)
    error = answers[3].error
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [violation.field for violation in error.field_violations] == ["events[0].user_id"]
    assert known(client, "streamed")["recorded_events"] == 160


@pytest.mark.timeout(30)
def test_a_stream_answers_while_it_is_open(client: Client) -> None:
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
    answers = record_stream(client, iter(waiting.get, None))
    for number in range(3):
        waiting.put({"request_id": f"r{number}", "events": [event("open", "item-01", tiny.START + number)]})
        assert next(answers).request_id == f"r{number}"
    waiting.put(None)
    assert list(answers) == []


VALUES = [0.5, -1.0, 2.0, 0.25]


def embedding(user: str, values: list[float] | None = None, **more: Any) -> dict[str, Any]:
    """Returns an embedding of the tiny encoder."""
    return {"user_id": user, "values": VALUES if values is None else values} | more


def test_embeddings_from_elsewhere_are_used_as_they_are(client: Client) -> None:
    other = [1.0, 0.0, -0.5, 3.0]
    # Name and version stand in the first message alone.
    messages = [ENCODER | {"embeddings": [embedding("put-1")]}, {"embeddings": [embedding("put-2", other)]}]
    assert client.put_embeddings(messages).stored == 2
    for user, values in (("put-1", VALUES), ("put-2", other)):
        answer = ask(client, user)
        assert state(client, answer) == "CACHED"
        check_scores(answer, TinyRequest(IDS, PRICES, user=float32(values)).scores()[0])


def test_an_embedding_is_stale_where_an_event_is_later(client: Client) -> None:
    client.record([event("late", "item-01", tiny.START), event("late", "item-02", tiny.START + 10)])
    for seconds, word in ((tiny.START + 5, "STALE"), (tiny.START + 10, "FRESH")):
        given = embedding("late", created_time={"seconds": seconds})
        assert client.put_embeddings([ENCODER | {"embeddings": [given]}]).stored == 1
        got, known = stored(client, "late")
        assert (got, known.created_time.seconds) == (word, seconds)
    assert state(client, ask(client, "late")) == "CACHED"
    client.put_embeddings([ENCODER | {"embeddings": [embedding("late", created_time={"seconds": tiny.START})]}])
    answer = ask(client, "late")
    assert state(client, answer) == "COMPUTED"
    check_scores(answer, scores([("item-01", tiny.START), ("item-02", tiny.START + 10)]))


def test_no_embedding_is_of_tomorrow(client: Client) -> None:
    given = embedding("tomorrow", created_time={"seconds": int(time.time()) + 86_400})
    client.put_embeddings([ENCODER | {"embeddings": [given]}])
    assert stored(client, "tomorrow")[1].created_time.seconds <= time.time()


@pytest.mark.parametrize(
    ("bad", "fields"),
    [
        (embedding("u", [1.0]), ["embeddings[1].values"]),
        (embedding("u", [1.0, 2.0, float("nan"), 4.0]), ["embeddings[1].values[2]"]),
        (embedding(""), ["embeddings[1].user_id"]),
        (embedding("x" * 200, []), ["embeddings[1].user_id", "embeddings[1].values"]),
        (embedding("u", created_time={"seconds": -5}), ["embeddings[1].created_time"]),
    ],
)
def test_a_faulty_embedding_is_named_and_so_is_what_is_stored(
    client: Client, bad: dict[str, Any], fields: list[str]
) -> None:
    good = [embedding(f"kept-{number}") for number in range(3)]
    messages = [ENCODER | {"embeddings": good}, {"embeddings": [embedding("not-kept"), bad]}]
    failed = refusal(lambda: client.put_embeddings(messages))
    assert (failed.code.name, list(failed.violations())) == ("INVALID_ARGUMENT", fields)
    assert failed.metadata() == {"stored": "3"}
    assert (stored(client, "kept-2")[0], stored(client, "not-kept")[0]) == ("FRESH", "ABSENT")


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"encoder_name": "no-such", "encoder_version": 1}, "NOT_FOUND"),
        ({"encoder_name": "tiny-encoder", "encoder_version": 9}, "NOT_FOUND"),
        ({"encoder_name": "tiny-ranker"}, "INVALID_ARGUMENT"),
        ({}, "INVALID_ARGUMENT"),
    ],
)
def test_an_encoder_has_to_be_there(client: Client, named: dict[str, Any], code: str) -> None:
    failed = refusal(lambda: client.put_embeddings([named | {"embeddings": [embedding("u")]}]))
    assert (failed.code.name, failed.metadata()) == (code, {"stored": "0"})
    if code == "NOT_FOUND":
        assert named["encoder_name"] in failed.resource()
    else:
        assert list(failed.violations()) == ["encoder_name"]


def test_more_embeddings_than_a_message_may_have_are_refused(client: Client) -> None:
    many = [embedding("u")] * (client.info().limits.max_events + 1)
    failed = refusal(lambda: client.put_embeddings([ENCODER | {"embeddings": many}]))
    assert list(failed.violations()) == ["embeddings"]


def test_a_stream_of_embeddings_may_take_longer_than_one_call(log: Path) -> None:
    def messages() -> Iterator[dict[str, Any]]:
        for number in range(4):
            yield ENCODER | {"embeddings": [embedding(f"slow-{number}")]}
            time.sleep(0.5)

    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_DEADLINE": "1s"}) as server:
        client = Client(server.address)
        assert client.put_embeddings(messages(), timeout=None).stored == 4
        failed = refusal(lambda: client.put_embeddings(messages(), timeout=20))
        assert failed.code.name == "DEADLINE_EXCEEDED"
        client.close()


def test_a_silent_stream_of_embeddings_ends(log: Path) -> None:
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
    waiting.put(ENCODER | {"embeddings": [embedding("one")]})
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__STREAM_IDLE_TIMEOUT": "300ms"}) as server:
        client = Client(server.address)
        failed = refusal(lambda: client.put_embeddings(iter(waiting.get, None), timeout=None))
        waiting.put(None)
        assert (failed.code.name, failed.metadata()) == ("DEADLINE_EXCEEDED", {"stored": "1"})
        client.close()


def delete(client: Client, user: str) -> Any:
    """Erases a user."""
    return client.users("DeleteUser", "DeleteUserRequest", user_id=user)


def test_an_erased_user_is_unknown(client: Client) -> None:
    client.record([event("gone", "item-01", tiny.START), event("gone", "item-02", tiny.START)])
    assert state(client, ask(client, "gone")) == "COMPUTED"
    erased = delete(client, "gone")
    assert (erased.events, erased.embeddings, erased.shipped_history_hidden) == (2, 1, False)
    assert (known(client, "gone"), stored(client, "gone")[0]) == (NOBODY, "ABSENT")
    answer = ask(client, "gone")
    assert state(client, answer) == "DEFAULT"
    check_scores(answer, scores([]))
    erased = delete(client, "gone")
    assert (erased.events, erased.embeddings) == (0, 0)
    # Another history begins, and the same event is new to it.
    assert client.record([event("gone", "item-01", tiny.START)]).recorded == 1
    check_scores(ask(client, "gone"), scores([("item-01", tiny.START)]))


def test_a_shipped_history_is_hidden_by_erasing(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        assert state(client, ask(client, "anna")) == "COMPUTED"
        assert delete(client, "anna").shipped_history_hidden
        assert state(client, ask(client, "anna")) == "DEFAULT"
        assert known(client, "anna") == NOBODY
        assert known(client, "berta")["history_length"] == 10
        client.close()


def test_an_order_for_an_unknown_shopper_may_be_of_no_use(client: Client) -> None:
    failed = refusal(lambda: ask(client, "no-one", require_user_state=True))
    assert (failed.code.name, failed.reason()) == ("NOT_FOUND", "USER_UNKNOWN")
    assert failed.resource() == "user.id"
    assert "no-one" not in failed.message
    client.record([event("some-one", "item-01", tiny.START)])
    assert state(client, ask(client, "some-one", require_user_state=True)) == "COMPUTED"


def test_users_are_warmed_once(client: Client) -> None:
    users = [f"warm-{number}" for number in range(40)]
    client.record([event(user, "item-01", tiny.START) for user in users])
    told = list(client.warm(user_ids=[*users, "warm-nobody"]))
    assert [answer.total for answer in told] == [41] * len(told)
    assert [answer.done for answer in told] == sorted(answer.done for answer in told)
    last = told[-1]
    assert (last.done, last.computed, last.fresh, last.unknown, last.failed) == (41, 40, 0, 1, 0)
    assert {state(client, ask(client, user)) for user in users} == {"CACHED"}
    client.record([event(users[0], "item-02", tiny.START + 1)])
    last = list(client.warm(user_ids=users))[-1]
    assert (last.computed, last.fresh) == (1, 39)
    assert state(client, ask(client, users[0])) == "CACHED"


def test_an_embedding_that_cannot_be_computed_is_counted(client: Client) -> None:
    client.record([event("poisoned", tiny.POISON, tiny.START), event("healthy", "item-01", tiny.START)])
    last = list(client.warm(user_ids=["poisoned", "healthy"]))[-1]
    assert (last.computed, last.failed) == (1, 1)


def test_the_most_active_are_warmed_first(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        later = tiny.START + 5000 * tiny.HOUR
        client.record([event(f"active-{number}", "item-01", later + number) for number in range(4)])
        last = list(client.warm(top_active=2))[-1]
        assert (last.total, last.computed) == (2, 2)
        assert [stored(client, f"active-{number}")[0] for number in range(4)] == ["ABSENT", "ABSENT", "FRESH", "FRESH"]
        last = list(client.warm(top_active=1000))[-1]
        assert (last.total, last.computed, last.fresh) == (8, 6, 2)
        client.close()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "top_active"),
        ({"top_active": 1, "user_ids": ["u"]}, "top_active"),
        ({"top_active": 1_000_001}, "top_active"),
        ({"user_ids": ["u", ""]}, "user_ids[1]"),
        ({"user_ids": ["u"] * 4097}, "user_ids"),
        ({"user_ids": ["u"], "model": {"name": "nan-ranker"}}, "model.name"),
    ],
)
def test_whom_to_warm_has_to_be_said(client: Client, fields: dict[str, Any], wrong: str) -> None:
    failed = refusal(lambda: list(client.warm(**fields)))
    assert (failed.code.name, list(failed.violations())) == ("INVALID_ARGUMENT", [wrong])


def test_a_caller_who_leaves_ends_the_warming(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_LIMITS__MAX_EVENTS": "20000"}) as server:
        client = Client(server.address)
        users = [f"left-{number}" for number in range(15_000)]
        client.record([event(user, "item-01", tiny.START) for user in users])
        call = client.warm(user_ids=users)
        assert next(call).total == len(users)
        call.cancel()
        time.sleep(0.3)
        rows = client.run_counters("tiny-encoder").rows
        time.sleep(0.5)
        assert client.run_counters("tiny-encoder").rows == rows < len(users)
        client.close()


def test_a_call_counts_among_those_in_flight(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_IN_FLIGHT": "1"}) as server:
        client = Client(server.address)
        running = client.rank_later(**slow(rounds_for(client, 2)), timeout=60)
        time.sleep(0.3)
        for call in (
            lambda: client.record([event("u", "item-01", tiny.START)]),
            lambda: client.user("u"),
            lambda: delete(client, "u"),
            lambda: client.put_embeddings([ENCODER | {"embeddings": [embedding("u")]}]),
            lambda: list(client.warm(user_ids=["u"])),
        ):
            failed = refusal(call)
            assert (failed.code.name, failed.reason()) == ("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT")
        running.result()
        assert client.record([event("u", "item-01", tiny.START)]).recorded == 1
        client.close()


def test_streams_end_when_the_server_drains(log: Path) -> None:
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
    more: queue.Queue[dict[str, Any] | None] = queue.Queue()
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        answers = record_stream(client, iter(waiting.get, None))
        waiting.put({"events": [event("u", "item-01", tiny.START)]})
        assert next(answers).recorded == 1
        requests = (client.message("PutEmbeddingsRequest", **fields) for fields in iter(more.get, None))
        more.put(ENCODER | {"embeddings": [embedding("u")]})
        storing = client.method(USER_SERVICE, "PutEmbeddings").future(requests, timeout=TIMEOUT)
        time.sleep(0.3)
        server.terminate()
        assert list(answers) == []
        failed = refusal(storing.result)
        assert (failed.code.name, failed.reason()) == ("UNAVAILABLE", "SERVER_STOPPING")
        assert failed.metadata() == {"stored": "1"}
        waiting.put(None)
        more.put(None)
        client.close()
        assert server.wait(20) == 0, server.output()
