"""What an occurrence means to a person: its own words, what is shown first, its effects, and its reason.

* ``own``: what an occurrence itself says, apart from the verdict about its trace
* ``as_of``: an occurrence as it was known at an earlier time
* ``effects``: what else a root cause led to
* ``shown``: which occurrence or effect an answer is about
"""
