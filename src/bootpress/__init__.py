"""bootpress: the press between a CI build and the machines that boot it."""
