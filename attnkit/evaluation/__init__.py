"""What `attnkit evaluate` does: asked.py finds out what is wanted, translation.py and classification.py do it."""
