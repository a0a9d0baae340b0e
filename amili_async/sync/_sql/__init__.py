"""`SqlStore`: the rows and checkpoints of a sync in SQLite or PostgreSQL."""
