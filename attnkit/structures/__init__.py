"""Values that data, models and metrics share: boxes, masks, what is there and what was found."""
