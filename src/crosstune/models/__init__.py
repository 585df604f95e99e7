"""Loading models, and computing packed rows with them."""
