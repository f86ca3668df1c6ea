"""What the tests of a whole build share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.corpus import plots
from tests.corpus.write import five_sources


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plots take longer than all else on so few records; test_report.py draws them."""
    monkeypatch.setattr(plots, "image", lambda *_: "data:,")


@pytest.fixture
def data(tmp_path: Path, no_plots: None) -> Path:
    """Files for all five kinds of source."""
    five_sources(tmp_path / "data")
    return tmp_path / "data"
