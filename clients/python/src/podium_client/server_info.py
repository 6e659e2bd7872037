"""What the server says of itself."""

from __future__ import annotations

from dataclasses import dataclass, fields

from podium_client._pb import info_pb2
from podium_client.enums import FeatureScope, ModelRole, ModelState


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may hold."""

    max_candidates: int
    max_columns: int
    max_id_bytes: int
    max_string_bytes: int
    max_vector_dim: int
    max_history: int
    max_message_bytes: int
    max_deadline_ms: int
    max_in_flight: int
    max_in_flight_per_stream: int
    max_events: int


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that a request may bring."""

    name: str
    scope: FeatureScope
    type: str
    """`float`, `int`, `string` or `vector`."""
    required: bool


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model."""

    name: str
    version: int
    role: ModelRole
    state: ModelState
    state_reason: str
    live: bool
    """Whether it answers requests that name neither version nor label."""
    labels: tuple[str, ...]
    device: str
    instances: int
    description: str
    encoder_name: str
    encoder_version: int
    features: tuple[Feature, ...]
    outputs: tuple[str, ...]
    """The heads, the ranking head first."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server's limits and models."""

    server_version: str
    onnxruntime_build: str
    default_model: str
    limits: Limits
    models: tuple[Model, ...]
    repository: str
    repository_fault: str


def server_info(answer: info_pb2.GetServerInfoResponse) -> ServerInfo:
    """Reads what the server says of itself."""
    return ServerInfo(
        server_version=answer.server_version,
        onnxruntime_build=answer.onnxruntime_build,
        default_model=answer.default_model,
        limits=Limits(**{limit.name: getattr(answer.limits, limit.name) for limit in fields(Limits)}),
        models=tuple(_model(model) for model in answer.models),
        repository=answer.repository,
        repository_fault=answer.repository_fault,
    )


def _model(model: info_pb2.ModelInfo) -> Model:
    return Model(
        name=model.name,
        version=model.version,
        role=ModelRole(model.role),
        state=ModelState(model.state),
        state_reason=model.state_reason,
        live=model.live,
        labels=tuple(model.labels),
        device=model.device,
        instances=model.instances,
        description=model.description,
        encoder_name=model.encoder_name,
        encoder_version=model.encoder_version,
        features=tuple(Feature(one.name, FeatureScope(one.scope), one.type, one.required) for one in model.features),
        outputs=tuple(model.outputs),
    )
