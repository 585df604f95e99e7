"""Models in GGUF files, as llama.cpp uses them: read, dequantised and proved to be whole, or refused by name."""
