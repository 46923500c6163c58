"""Run everything on one machine: `bootpress up`, its supervisor and the demo."""
