"""Forges: Gitea over HTTP, and the embedded one on this machine.

`opening` has all of them; nothing is imported here: each run of the embedded one is a process that needs no other.
"""
