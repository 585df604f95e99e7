"""Free answers judged without a judge: instructions that rules check, and the language that is answered in."""
