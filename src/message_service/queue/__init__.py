"""The job queue: enqueue, claim, retry, lanes, dependencies, and the workers that run jobs."""
