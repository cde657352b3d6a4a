"""What runs in the background: the worker with all loops, and the service's own job types."""
