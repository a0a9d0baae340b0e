"""What a client offers: one module for each resource of the API, one method for each row of the route table."""
