"""attnkit: train, score, run, explain, import and export the attention models of language and vision."""

__version__ = "0.1.0"
