"""Embedded forge: runs and jobs: scheduling, processes and containers, logs and clean-up."""
