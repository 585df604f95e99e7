"""What a phase trains and how: full or LoRA, optimizer, regularizers, precision."""
