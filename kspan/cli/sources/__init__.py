"""Where the answers of the commands come from: a database, or a daemon in a cluster that is asked over ``/v1``."""
