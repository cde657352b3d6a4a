"""Work that goes on in the background: a class with `step()`, and one runner for all of them."""
