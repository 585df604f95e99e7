"""Readers of raw files, one module per family of formats: each yields records with their places."""
