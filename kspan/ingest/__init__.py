"""Reading what a cluster says: files and streams on the outside, journal records on the inside.

A reader (of files: ``read_frames``; of watches: the daemon's) yields ``Frame``s, the raw deltas as they were sent, and
nothing above this package sees another input format. ``normalize`` gives a frame its meaning and is pure; ``streams``
decides, per resource, what a frame is news of. Whatever the input, a reader raises ``InputError`` and nothing else,
and what it yielded before that is good: ``normalize.to_record`` takes every object in it.
"""

from kspan.ingest.files.open import read_frames, total_size
from kspan.ingest.frames import Frame, FrameType

__all__ = ["Frame", "FrameType", "read_frames", "total_size"]
