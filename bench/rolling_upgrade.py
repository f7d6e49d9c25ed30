"""`imgsearch`, with one step more than this release has: what a later release may do to the table of images."""

from __future__ import annotations

from imgsearch.cli import main
from imgsearch.schema import source
from imgsearch.schema.step import Part, Step

TEXT = """-- A rehearsal: a column, what stood before filled in by batches, an index and a constraint.
-- part 1
ALTER TABLE imgsearch.image ADD COLUMN IF NOT EXISTS rehearsed double precision;
ALTER TABLE imgsearch.image_sample ADD COLUMN IF NOT EXISTS rehearsed double precision;
-- part 2
UPDATE imgsearch.image i SET rehearsed = 0 FROM (
    SELECT tenant_id, image_id FROM imgsearch.image WHERE rehearsed IS NULL ORDER BY tenant_id, image_id LIMIT 500
) b WHERE i.tenant_id = b.tenant_id AND i.image_id = b.image_id
-- part 3
CREATE INDEX CONCURRENTLY IF NOT EXISTS image_rehearsed ON imgsearch.image (rehearsed, image_id)
-- part 4
ALTER TABLE imgsearch.image ADD CONSTRAINT rehearsed_is_a_number CHECK (rehearsed < 'Infinity') NOT VALID;
-- part 5
ALTER TABLE imgsearch.image VALIDATE CONSTRAINT rehearsed_is_a_number;
"""
_IMAGE = "imgsearch.image"
PARTS = (
    Part("brief", {_IMAGE: "ACCESS EXCLUSIVE", "imgsearch.image_sample": "ACCESS EXCLUSIVE"}),
    Part("batches", {_IMAGE: "ROW EXCLUSIVE"}, _IMAGE, 60, 40),
    Part("index", {_IMAGE: "SHARE UPDATE EXCLUSIVE"}, _IMAGE, 3, 40),
    Part("brief", {_IMAGE: "ACCESS EXCLUSIVE"}),
    Part("validate", {_IMAGE: "SHARE UPDATE EXCLUSIVE"}, _IMAGE, 1),
)


def step() -> Step:
    """Return the step."""
    return Step("9000_rehearsal", TEXT, PARTS, online=True)


def rehearse() -> None:
    """Add the step to those of this release, in this process."""
    steps = (*source.steps(), step())
    source.steps = lambda: steps  # type: ignore[assignment]


if __name__ == "__main__":
    rehearse()
    main()
