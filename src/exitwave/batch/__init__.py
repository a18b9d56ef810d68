"""Many scans: tasks for the workers of dask.distributed, the journal of finished work, and the summary page."""
