"""Exported models over HTTP: the Open Inference Protocol, rows by name, metrics and a page."""
