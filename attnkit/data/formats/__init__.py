"""Formats that others write and read: one format, one file."""
