"""What processes of tests, and those that they start, read of their environment when they load their libraries."""

import os

# Read by the tokenizers library at import: forked data workers and its threads do not mix.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Two test processes on two cores: one thread each, and those that they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
