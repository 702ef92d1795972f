"""What the package carries: ``rolling-update.jsonl.gz``, for ``kspan demo``.

A recording of a real Kubernetes 1.36 cluster: the image of a Deployment is changed, 20 s later it is scaled from 2 to
4, 20 s later the change is rolled back. Cut down to the kinds and the namespace that take part.
"""
