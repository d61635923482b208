"""Detection and instance segmentation: the recipe and what it wires together."""
