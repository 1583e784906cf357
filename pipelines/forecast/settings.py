"""What a forecast is asked for, and its settings, the group `plan`. Nothing slow is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pipelines.job.request import build_settings
from roots.settings import build

_PLAN = "plan"  # group of settings
LEAST_PIECES = 3


@dataclass(frozen=True)
class PlanSettings:
    """Settings of a plan."""

    pieces: int = 12  # of the archives that are run
    piece_bytes: int = 2 << 20  # of one piece
    seed: int = 1  # of the choice of pieces
    archives: int = 0  # in the crawl; 0: as many as are named
    archive_bytes: float = 0.0  # average of one archive; 0: as those named

    def __post_init__(self) -> None:
        if self.pieces < LEAST_PIECES or self.piece_bytes < 1:
            raise ValueError(f"pieces must be at least {LEAST_PIECES}, piece_bytes at least 1")
        if self.archives < 0 or self.archive_bytes < 0:
            raise ValueError("archives and archive_bytes must not be below 0")


@dataclass(frozen=True)
class ForecastRequest:
    """What to forecast; it is checked when it is made. Raises SettingsError for a mistake in a setting."""

    inputs: tuple[str, ...]  # paths and patterns of archives
    languages: tuple[str, ...]
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # by group, as plain values

    def __post_init__(self) -> None:
        _ = self.plan
        build_settings(self.job_settings)

    @cached_property
    def plan(self) -> PlanSettings:
        """The settings of the forecast itself."""
        return build(PlanSettings, self.settings.get(_PLAN, {}), _PLAN)

    @property
    def job_settings(self) -> dict[str, Mapping[str, object]]:
        """The settings of the stages."""
        return {group: values for group, values in self.settings.items() if group != _PLAN}
