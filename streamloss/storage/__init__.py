"""Arrays that are read (sources) and targets of losses (sinks), wherever they are kept."""
