"""`/app`: the console, pages made on the server from the answers of operations; no JavaScript."""
