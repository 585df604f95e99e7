"""What training will cost: operations, time and memory, before it is launched."""
