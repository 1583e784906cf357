"""The settings of the workbench: the group `report`; nothing slow is imported here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the page: how much of the corpus is in it."""

    documents: int = 20_000  # sampled documents that can be read
    numbers: int = 40_000  # sampled documents that are counted; the ones above are among them
    excerpt: int = 280  # characters shown of each document
    longest: int = 40_000  # characters, at most, of a document shown whole
    whole: int = 8_000  # documents, at most, shown whole
    file_bytes: int = 14_000_000  # of the page; whole texts get what is left
    redact: bool = True  # replace personal data in the shown texts
    bounds: str = ""  # a bound set or TOML file to start from; empty: the bounds of the filter stage

    def __post_init__(self) -> None:
        for name in ("documents", "numbers", "longest"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: 1 or more is needed")
        for name in ("excerpt", "whole", "file_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: 0 or more is needed")
        if not self.documents <= self.numbers <= 60_000:
            raise ValueError(f"numbers = {self.numbers}: from {self.documents} (documents) to 60000 are possible")
