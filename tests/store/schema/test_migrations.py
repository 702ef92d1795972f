"""Released migrations never change: a database that has run one would not get the change."""

from hashlib import sha256

from kspan.store.schema.migrate import scripts

RELEASED = {
    "kspan_0001_first_release.py": "6114458135ea3622241ae6600fc3202809c3945149f95003da6b3ba83ef53523",
    "kspan_0002_recorded_days.py": "b31434d590fd8054109d87d8efd196d9ab4763694b45a9401c7957edef90b0d3",
}
"""SHA-256 of each released migration. Add a line for a new one when it is released."""

NEXT = ("kspan_0003", "kspan_0004", "kspan_0005", "kspan_0006", "kspan_0007")
"""The migrations of the coming release, which may still change."""


def test_a_released_migration_does_not_change() -> None:
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in (scripts() / "versions").glob("*.py")}
    changed = [name for name, digest in RELEASED.items() if found.get(name) != digest]
    assert not changed, (
        f"{', '.join(changed)} was released and must not change: restore it, and put the change into a new migration "
        '(alembic -x db=kspan.sqlite revision --autogenerate -m "what changes")'
    )
    added = sorted(name for name in found.keys() - RELEASED.keys() if not name.startswith(NEXT))
    assert not added, f"add the digest of {', '.join(added)} to RELEASED: {[found[name] for name in added]}"
