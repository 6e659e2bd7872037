"""How a client is connected."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from fake import Fake, refuse
from podium_client import AsyncClient, Client, RetryPolicy, Unavailable
from podium_client.channel import DEFAULTS, credentials_of, options

RETRIES = {"maxAttempts": 5, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1}
CONFIG = {"methodConfig": [{"name": [{}], "retryPolicy": RETRIES | {"retryableStatusCodes": ["UNAVAILABLE"]}}]}


def test_options_replace_the_defaults_of_their_names() -> None:
    assert dict(options()) == DEFAULTS
    given = [("grpc.keepalive_time_ms", 7), ("grpc.primary_user_agent", "shop")]
    assert dict(options(given)) == DEFAULTS | dict(given)


def test_credentials_encrypt_and_go_before_the_usual_ones() -> None:
    own = grpc.ssl_channel_credentials(b"")
    assert credentials_of(False, None) is None
    assert isinstance(credentials_of(True, None), grpc.ChannelCredentials)
    assert credentials_of(True, own) is credentials_of(False, own) is own


def test_a_server_without_tls_is_not_talked_to_in_plain_text() -> None:
    with Fake() as fake:
        with Client(fake.address, tls=True, retries=RetryPolicy(1)) as client, pytest.raises(Unavailable):
            client.rank(candidates=["a"])
        assert fake.asked == []


def test_retries_of_grpc_do_not_multiply_with_ours() -> None:
    given = [("grpc.service_config", json.dumps(CONFIG))]

    async def ask(address: str) -> None:
        async with AsyncClient(address, retries=RetryPolicy(2), options=given) as client:
            await client.rank(candidates=["a"])

    with Fake(lambda _, server: refuse(server, grpc.StatusCode.UNAVAILABLE)) as fake:
        with Client(fake.address, retries=RetryPolicy(2), options=given) as client, pytest.raises(Unavailable):
            client.rank(candidates=["a"])
        with pytest.raises(Unavailable):
            asyncio.run(ask(fake.address))
    assert len(fake.asked) == 4
