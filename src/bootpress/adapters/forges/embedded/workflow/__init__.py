"""Embedded forge: workflow files: parsing, expressions and triggers."""
