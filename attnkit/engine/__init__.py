"""Training: the loop and what it needs. Knows tensors, batches and tasks; knows no task by name."""
