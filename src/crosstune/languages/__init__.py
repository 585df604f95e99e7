"""What crosstune knows of languages."""
