"""Which resources to watch: discovery, the user's selection and the resulting plan."""
