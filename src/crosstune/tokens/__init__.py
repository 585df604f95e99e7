"""From text to tokens: encoding, and the tokens of a mixture on disk."""
