"""The models: modules with their configs. No files, no data, no loops."""
