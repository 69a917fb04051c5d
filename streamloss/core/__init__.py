"""What everything else stands on: compiler options, primitive operations, shared records, the machine and the GPU."""
