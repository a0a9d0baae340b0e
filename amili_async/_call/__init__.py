"""One call from its start to its end: gate, slot, token, attempts, and one deadline over all of them."""
