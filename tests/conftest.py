"""What every test has: shapes that are checked, folders of its own, and generated cases that are the same each time."""

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# A slow machine is no failure, and a failure must come again.
settings.register_profile("attnkit", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("attnkit")

# Shapes in annotations are checked in tests only. This stands before any test imports these modules.
_WITH_SHAPES = (
    "models",
    "structures",
)
install_import_hook([f"attnkit.{name}" for name in _WITH_SHAPES], "beartype.beartype")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """Keep the caches and data folders of whoever runs the tests out of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
