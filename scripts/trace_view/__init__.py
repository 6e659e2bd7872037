"""Shows traces in a terminal and as pictures."""
