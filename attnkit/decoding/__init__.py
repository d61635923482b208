"""Greedy decoding, beam search and sampling. They take a step function, not a model."""
