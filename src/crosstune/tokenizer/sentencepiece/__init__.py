"""SentencePiece model files: reading, converting, writing."""
