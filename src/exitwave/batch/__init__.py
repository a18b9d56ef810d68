"""Many scans, one after the other on every worker: what a job is, what is done already, and how jobs reach workers."""
