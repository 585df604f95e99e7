"""What replaces a computation of the library by a faster one with the same results."""
