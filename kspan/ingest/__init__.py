"""Reads Kubernetes Events and objects from files and clusters, and turns them into journal batches.

A reader (``files`` or ``watch``) yields ``Frame``s, so that no other package knows the input formats.
``JournalBuilder`` decides which records the frames of a stream add to the journal. A file reader raises only
``InputError``, and every frame before the error is valid.
"""

from kspan.ingest.files.open import read_frames, total_size
from kspan.ingest.frames import Frame, FrameType

__all__ = ["Frame", "FrameType", "read_frames", "total_size"]
