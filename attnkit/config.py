"""The base of every config: frozen, and it refuses unknown keys."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A typed, immutable group of settings.

    Defaults live here and nowhere else; the resolved recipe of a run stores every value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())
