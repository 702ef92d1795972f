"""resourceVersions as numbers. Pure."""

EPOCH_STEP = 1 << 48
"""Difference between equal resourceVersions of consecutive epochs: more than an etcd ever counts to."""

_MOST_DIGITS = len(str(2**63)) - 1


def version_number(resource_version: str, epoch: int = 0) -> int:
    """Return a resourceVersion as a number; 0 if it is not numeric.

    Numbers are comparable within a resource (KEP-5504), and across resources if one etcd stores both. etcd counts in
    63 bits, so larger numbers are not valid.

    Args:
        resource_version: the version as the API server sends it.
        epoch: how often the versions of this stream started over (``LogRecord.epoch``). A later epoch is greater.
    """
    if not (resource_version.isascii() and resource_version.isdigit()) or len(resource_version) > _MOST_DIGITS:
        return 0
    return int(resource_version) + epoch * EPOCH_STEP


def version_order(resource_version: str) -> int:
    """Return a resourceVersion as a number that is comparable within a resource and an epoch; -1 if not numeric."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else -1
