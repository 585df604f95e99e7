"""`crosstune init`: a recipe for a model and a folder of files, from what is found there."""
