"""Countries to which no code goes for a while.

Revision ID: 0020
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand only: processes of the revision before go on working."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - never detached here
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
