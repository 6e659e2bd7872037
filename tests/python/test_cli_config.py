"""`podium config`: the effective settings, where each came from, and every mistake at once."""

from __future__ import annotations

from pathlib import Path

from server import podium


def test_defaults_are_printed_with_their_source() -> None:
    ended = podium("config")
    assert ended.returncode == 0, ended.stderr
    assert "max_in_flight" in ended.stdout
    assert "default" in ended.stdout


def test_file_environment_and_flags_win_in_this_order(tmp_path: Path) -> None:
    file = tmp_path / "podium.toml"
    file.write_text("[server]\nmax_in_flight = 11\nmax_in_flight_per_stream = 12\nmax_deadline = '13s'\n")
    ended = podium(
        "config", "--config", file, "--listen", "127.0.0.1:5999",
        settings={"PODIUM_SERVER__MAX_IN_FLIGHT_PER_STREAM": "21", "PODIUM_SERVER__LISTEN": "127.0.0.1:5998"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if "=" in line]

    def line_of(key: str) -> str:
        found = [line for line in lines if line.split("=")[0].strip().split(".")[-1] == key]
        assert len(found) == 1, (key, found)
        return found[0]

    assert "11" in line_of("max_in_flight")
    assert "podium.toml" in line_of("max_in_flight")
    assert "21" in line_of("max_in_flight_per_stream")
    assert "PODIUM_SERVER__MAX_IN_FLIGHT_PER_STREAM" in line_of("max_in_flight_per_stream")
    assert "13s" in line_of("max_deadline")
    assert "127.0.0.1:5999" in line_of("listen")
    assert "--listen" in line_of("listen")


def test_an_unknown_key_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "podium.toml"
    file.write_text("[server]\nmax_in_fligt = 5\n")
    ended = podium("config", "--config", file)
    assert ended.returncode != 0
    assert "max_in_fligt" in ended.stderr
    assert "max_in_flight" in ended.stderr.replace("max_in_fligt", "", 1)


def test_an_unknown_variable_is_an_error_with_a_suggestion() -> None:
    ended = podium("config", settings={"PODIUM_SERVER__MAX_IN_FLIHGT": "5"})
    assert ended.returncode != 0
    assert "max_in_flight" in ended.stderr.lower()


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "podium.toml"
    file.write_text("[server]\nmax_in_flight = 'many'\nmax_deadline = 'soon'\n\n[sever]\nlisten = '127.0.0.1:1'\n")
    ended = podium("config", "--config", file)
    assert ended.returncode != 0
    for word in ("max_in_flight", "max_deadline", "sever"):
        assert word in ended.stderr, ended.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = podium("config", "--config", tmp_path / "nowhere.toml")
    assert ended.returncode != 0
    assert "nowhere.toml" in ended.stderr


def test_a_value_out_of_bounds_is_refused() -> None:
    ended = podium("config", settings={"PODIUM_SERVER__MAX_IN_FLIGHT": "0"})
    assert ended.returncode != 0
    assert "max_in_flight" in ended.stderr


def test_passwords_are_not_printed() -> None:
    settings = {
        "PODIUM_USERS__REDIS__PASSWORD": "open-sesame",
        "PODIUM_USERS__REDIS__SENTINEL_PASSWORD": "open-sesame",
        "PODIUM_USERS__REDIS__USERNAME": "shop",
    }
    ended = podium("config", "--redis", "rediss://me:open-sesame@cache:6380/2", settings=settings)
    assert ended.returncode == 0, ended.stderr
    assert "sesame" not in ended.stdout + ended.stderr
    for line in ('url = "rediss://me:***@cache:6380/2"', 'password = "***"', 'username = "shop"'):
        assert f"users.redis.{line}" in ended.stdout, ended.stdout
    assert 'users.redis.sentinel_password = "***"' in ended.stdout
    assert "flag --redis" in ended.stdout


def test_a_password_of_digits_is_not_told_where_it_is_refused() -> None:
    ended = podium("config", settings={"PODIUM_USERS__REDIS__PASSWORD": "4711"})
    assert ended.returncode == 1
    assert "users.redis.password: must be text; put it in quotes" in ended.stderr
    assert "4711" not in ended.stderr
    ended = podium("config", settings={"PODIUM_USERS__REDIS__PASSWORD": '"4711"'})
    assert (ended.returncode, 'users.redis.password = "***"' in ended.stdout) == (0, True)


def test_the_user_stores_mistakes_are_told_at_once() -> None:
    settings = {
        "PODIUM_USERS__REDIS__URL": "http://cache",
        "PODIUM_USERS__REDIS__KEY_PREFIX": "a{b}",
        "PODIUM_USERS__REDIS__TENANT": "",
        "PODIUM_USERS__REDIS__TLS_KEY": "key.pem",
        "PODIUM_USERS__MAX_EVENTS": "0",
        "PODIUM_LIMITS__MAX_EVENTS": "0",
    }
    ended = podium("config", settings=settings)
    assert ended.returncode == 1
    for key in ("url", "key_prefix", "tenant", "tls_cert"):
        assert f"users.redis.{key}: " in ended.stderr, ended.stderr
    for key in ("users.max_events", "limits.max_events"):
        assert f"{key}: must lie between" in ended.stderr
