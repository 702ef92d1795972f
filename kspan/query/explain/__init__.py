"""Explains an occurrence to a person: the part that is shown first, its reason, its effects, and short words for it.

* ``own``: what an occurrence itself says, apart from the verdict about its trace
* ``as_of``: an occurrence as it was known at an earlier time
* ``effects``: what else a root cause led to
* ``shown``: which occurrence or effect an answer is about
* ``reasons``: why that happened. ``manifests`` reads recorded manifests
* ``serving``: what still serves while a rollout is stuck
* ``wording``: shorter words for texts of components
"""
