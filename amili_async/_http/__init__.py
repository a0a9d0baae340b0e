"""The wire: where the servers are, the session with its connections, one exchange at a time."""
