"""The command line: `bootpress up|demo|doctor|call|operations`."""
