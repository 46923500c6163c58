"""Entry points: API, command line and console. They translate requests and decide nothing."""
