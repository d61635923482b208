"""Images with boxes and masks of the objects on them."""
