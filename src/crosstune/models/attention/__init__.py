"""Attention of packed rows, by device and length of rows."""
