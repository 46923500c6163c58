"""The stack's own parts on what they really drive."""
