"""One verb over whole folders each; steps never call each other."""
