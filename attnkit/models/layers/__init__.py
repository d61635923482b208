"""The layers that models are made of. They take plain numbers, never a config."""
