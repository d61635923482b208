"""Semantic segmentation: the form of its recipe and how its parts are wired."""
