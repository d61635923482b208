"""Tables and plots of scores."""
