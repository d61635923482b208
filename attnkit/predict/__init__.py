"""Inputs in, answers out, files beside them: line streams, images, overlays."""
