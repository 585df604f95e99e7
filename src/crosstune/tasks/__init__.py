"""What crosstune knows of benchmarks, and how answers are judged."""
