"""Outside systems, one folder each: the only place that knows a wire format."""
