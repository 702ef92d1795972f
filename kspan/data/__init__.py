"""Data files of the package: ``rolling-update.jsonl.gz``, the recording of ``kspan demo``.

It was recorded on a real Kubernetes 1.36 cluster: a new image of a Deployment, 20 s later a scale-up from 2 to
4 replicas, 20 s later a rollback. It contains only the namespace and the kinds that took part.
"""
