"""Accounts and API tokens: whose rows, who acts."""
