"""Everything that knows CUDA. Nothing outside imports it before it is asked for."""
