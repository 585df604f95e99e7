"""From counted failures to a cure: pairs of a better and a failed answer, of a system's own answers to its prompts."""
