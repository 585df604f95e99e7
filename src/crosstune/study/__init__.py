"""A study: a grid of changes to one recipe, over several seeds, in one comparison."""
