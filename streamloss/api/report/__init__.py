"""Reports of results as one HTML file, and plots: both are made of the documents that results are as JSON."""
