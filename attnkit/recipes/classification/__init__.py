"""Image classification: the form of its recipe and how its parts are wired."""
