"""House rules no reviewer should have to remember."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import message_service
from message_service import errors
from message_service.catalogue.declared import CATALOGUE, QUERIES
from message_service.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_exports_are_complete_and_sorted() -> None:
    assert message_service.__all__ == sorted(message_service.__all__)
    public = {
        name
        for name, value in vars(message_service).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(message_service.__all__)


def test_driver_errors_are_caught_only_where_the_driver_is_used() -> None:
    for path in SOURCES:
        if {"database", "local_server"} & set(path.parts):
            continue
        assert not re.search(r"(pymongo|bson)(\.| import )errors", path.read_text()), path


def test_only_the_catalogue_names_an_index() -> None:
    for path in SOURCES:
        if "catalogue" not in path.parts:
            code = ast.parse(path.read_text())
            strings = {
                node.value
                for node in ast.walk(code)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not {s for s in strings if re.fullmatch(r"idx_\w+", s)}, path


def test_modules_stay_small() -> None:
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 400, path


def test_nothing_is_left_unfinished() -> None:
    for path in SOURCES:
        assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()), path


def test_what_runs_is_ended_in_one_place() -> None:
    """A single cancellation can be lost (decision 12)."""
    for path in SOURCES:
        if path.name == "stopping.py":
            continue
        code = path.read_text()
        assert not re.search(r"asyncio\.(wait_for|timeout|timeout_at)\(", code), path
        for name in re.findall(r"(\w+)\.cancel\(\)", code):
            assert name == "timer", f"{path}: {name}.cancel(); use end_tasks"


def test_no_log_quotes_what_an_error_quotes() -> None:
    """An unforeseen error may hold somebody's message: `errors.trace_of` leaves that out."""
    for path in SOURCES:
        assert not re.search(r"\.exception\(\s*[f\"]|exc_info=", path.read_text()), path


def test_the_clock_is_read_in_one_place() -> None:
    for path in SOURCES:
        if path.name != "clock.py" and "local_server" not in path.parts:
            assert not re.search(r"datetime\.now\(|utcnow\(|time\.time\(", path.read_text()), path


def test_every_query_uses_a_declared_index_of_its_collection() -> None:
    for query in QUERIES:
        names = {index.name for index in CATALOGUE.collection(query.collection).indexes}
        assert query.index == "_id_" or query.index in names, query.name


def test_every_error_has_its_own_code() -> None:
    def tree(cls: type[errors.MessageServiceError]) -> list[type[errors.MessageServiceError]]:
        return [cls, *(found for sub in cls.__subclasses__() for found in tree(sub))]

    codes = [cls.code for cls in tree(errors.MessageServiceError)]
    assert len(codes) == len(set(codes))
    for cls in tree(errors.MessageServiceError):
        assert cls.__name__ in (errors.__doc__ or ""), cls


def test_settings_and_errors_are_documented() -> None:
    settings = (ROOT / "docs" / "how-to" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"MESSAGE_SERVICE_{name.upper()}" in settings, name
        assert field.description, name


def test_what_the_pages_import_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        (page.name, module, name.strip())
        for page in pages
        for module, names in re.findall(
            r"^ *from (message_service[\w.]*) import (.+)$", page.read_text(), re.MULTILINE
        )
        for name in names.split(",")
    ]
    assert found
    for page, module, name in found:
        there = importlib.import_module(module)
        assert hasattr(there, name) or importlib.import_module(f"{module}.{name}"), page


def test_every_correction_is_in_the_deviations() -> None:
    deviations = (ROOT / "docs" / "deviations.md").read_text()
    for collection in CATALOGUE.collections:
        for index in collection.indexes:
            if index.correction is not None:
                assert index.name in deviations, index.name


def test_the_locks_name_no_host_and_pin_everything() -> None:
    for name in ("requirements.lock", "requirements-bench.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        assert "-url" not in text, name
        pinned = re.findall(r"^[A-Za-z0-9_.-]+==", text, re.MULTILINE)
        assert text.count("--hash=sha256:") >= len(pinned) > 30
