"""How the rows of new pieces start."""
