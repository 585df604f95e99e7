"""The train stage: mixtures and tokenizers become systems."""
