"""Models in GGUF files, as llama.cpp uses them: read, dequantized and proved to be whole, or refused by name."""
