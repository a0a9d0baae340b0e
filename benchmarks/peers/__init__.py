"""What a user would pick instead: each peer as its own documentation recommends, decoding the same fields to types."""
