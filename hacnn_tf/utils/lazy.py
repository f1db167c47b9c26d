"""Names of a package that are imported when somebody asks for them (PEP 562), since what they need loads for long."""

import importlib
from collections.abc import Callable
from typing import Any


def lazy(package: str, **names: list[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package: of each module in it the names that the package has from it."""
    modules = {name: module for module, its in names.items() for name in its}

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *modules})

    return __getattr__, __dir__
