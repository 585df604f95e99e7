"""Raw corpora to training examples and evaluation items: read, filter, mix."""
