"""Tables, roles' rights and partitions of the main path.

Revision ID: 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything; partitions two weeks ahead."""
    # Through the driver itself: SQLAlchemy would read the % of format() as a placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - never detached here
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
    driver.execute("SELECT pruuf_make_partitions(14)")
