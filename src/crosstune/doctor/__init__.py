"""`crosstune doctor`: what a model, a language and a machine make of each other, before anything is trained."""
