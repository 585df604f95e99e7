"""The folder of a run, what its files are made from, the order of the stages, and worker processes."""
