"""Background work: a loop is a class with `step()`; one runner runs all of them."""
