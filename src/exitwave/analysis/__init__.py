"""Analysis of scans and results: summary, diagnosis, verdict, comparison and error metric."""
