"""What goes out and what comes back, decided without a socket: requests, answers, and what is repeated."""
