"""The foundation of all other folders: compiler options, primitive operations, shared records, the machine, the GPU."""
