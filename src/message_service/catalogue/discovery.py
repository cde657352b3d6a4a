"""Finds the declarations in the files of a package, so that each is written once."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast


class Named(Protocol):
    """A declaration; its name is unique among those of its kind."""

    @property
    def name(self) -> str:
        """The name."""
        ...


T = TypeVar("T", bound=Named)


def declared_in(package: ModuleType, kind: type[T]) -> tuple[T, ...]:
    """Return the declarations of one kind in a package's modules, by module and in their order.

    A declaration is a module-level value of that kind, or a value of a module-level mapping.

    Raises:
        ValueError: Two have the same name.
    """
    found: dict[str, T] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for declaration in _of_kind(vars(module).values(), kind):
            known = found.setdefault(declaration.name, declaration)
            if known is not declaration:
                raise ValueError(f"{package.__name__} declares {declaration.name!r} twice")
    return tuple(found.values())


def _of_kind(values: Iterable[Any], kind: type[T]) -> Iterator[T]:
    for value in values:
        if isinstance(value, kind):
            yield value
        elif isinstance(value, Mapping):
            for inner in cast("Mapping[Any, Any]", value).values():
                if isinstance(inner, kind):
                    yield inner
