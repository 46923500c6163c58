"""HTTP client parts that adapters share: time, retry policy, Retry-After."""
