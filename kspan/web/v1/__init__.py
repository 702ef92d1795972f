"""``/v1``: the answers of the commands as JSON, with a description in OpenAPI, and a stream of news."""
