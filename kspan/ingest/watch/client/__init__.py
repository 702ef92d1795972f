"""The connection to the API server: kubeconfig, credentials, requests and errors."""
