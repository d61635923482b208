"""Images with a class for each pixel: from files to batches."""
