"""The data of the page of a trace: its head, its rows as columns, one span in full, and the trace for Perfetto."""
