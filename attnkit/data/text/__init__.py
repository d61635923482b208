"""Sentence pairs: from files to batches of token ids."""
