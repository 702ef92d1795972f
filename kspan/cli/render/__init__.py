"""What commands print: tables, records, traces, the answer to ``why``."""
