"""A collection, an index, a query, a follower is added in one file, and everything knows it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import message_service
from message_service.catalogue.declared import CATALOGUE
from message_service.documents.row import Row
from support.catalogues import Database

PROGRAM = Path(__file__).parents[1] / "support" / "extended_catalogue.py"

NOTES = """
from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents.fields import ConversationId, StoredDocument, TenantId


class Note(StoredDocument):
    tenant_id: TenantId
    conversation_id: ConversationId
    text: str


NOTES = Collection(
    name="notes",
    document=Note,
    purpose="notes of a conversation",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index("idx_notes_shard_key", BY_CONVERSATION, "the shard key"),
        Index(
            "idx_notes", (("conversation_id", 1), ("tenant_id", 1)), "a conversation's notes"
        ),
    ),
)
"""

QUERIES = """
from message_service.catalogue.queries.parts import equal
from message_service.database.query import Query

NOTES_OF_CONVERSATION = Query(
    name="notes.of_conversation",
    collection="notes",
    purpose="The notes of a conversation",
    index="idx_notes",
    build=equal("conversation_id"),
    example={"conversation_id": "conv_000000000001"},
)
"""

FOLLOWER = """
from message_service.catalogue.follower import Follower

AUDIT = Follower(name="audit", purpose="messages to be audited")
"""

INDEX = '        Index("idx_extra", (("tenant_id", 1), ("pinned", 1)), "what is pinned"),\n'


def _report(packages: Path, database: Database, uri: str, asked: str) -> Row:
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), uri, database.name, asked],
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said: Row = json.loads(ended.stdout)
    return said


def test_a_collection_an_index_a_query_and_a_follower_are_one_file_each(
    tmp_path: Path, database: Database, mongo_uri: str
) -> None:
    package = tmp_path / "message_service"
    shutil.copytree(message_service.__path__[0], package)
    catalogue = package / "catalogue"
    (catalogue / "collections" / "notes.py").write_text(NOTES)
    (catalogue / "queries" / "notes.py").write_text(QUERIES)
    (catalogue / "followers" / "audit.py").write_text(FOLLOWER)
    messages = catalogue / "collections" / "messages.py"
    before, indexes, after = messages.read_text().partition("    indexes=(\n")
    messages.write_text(before + indexes + INDEX + after)

    said = _report(tmp_path, database, mongo_uri, "notes.of_conversation")

    assert said["left"] == 0
    declared = {collection.name for collection in CATALOGUE.collections}
    assert set(said["collections"]) == declared | {"notes"}
    assert said["indexes"]["notes"] == ["_id_", "idx_notes", "idx_notes_shard_key"]
    assert "idx_extra" in said["indexes"]["messages"]
    assert "idx_audit_work" in said["indexes"]["messages"]
    assert "audit" in said["marked_for"]
    assert said["found"] == ["hello"]
    assert said["as_declared"]
    assert "without conversation_id" in said["untargeted"]
