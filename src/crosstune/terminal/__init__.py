"""One look for everything that crosstune prints: headings, notes, tables, progress, and how a command is stopped."""
