"""What all tasks on images share: decoding, generated shapes, randomness, workers."""
