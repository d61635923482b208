"""What makes layers and finished models fast on a CPU."""
