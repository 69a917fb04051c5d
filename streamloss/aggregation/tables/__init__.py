"""Tables of exact sums and counts by key: groups, clusters, bins and ranges of rows."""
