"""Finds why something happened, as far as the journal knows a reason that is nearer than the chain of causes.

``find_reason`` asks ``ends`` of containers, ``deadlines``, ``disruptions``, ``flapping``, and what was ``waiting``;
each returns a ``reason``.
"""
