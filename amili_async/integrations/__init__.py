"""Optional companions of the client, each imported only when used."""
