"""A recipe for one's own data: look at the data, choose sizes, write the recipe with its reasons."""
