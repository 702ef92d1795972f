"""The Kubernetes wire format in one place: resources, kinds, objects, Events, redaction, strict JSON. Pure."""
