"""The stages of the main job: one row each, in the order data flows. Whatever lists stages reads this table.

    archives -> index -> extract -> measure -> filter -> dedup -> redact -> shard

To add a stage, add a row: the command line, `run`, `status`, `why`, `verify`, the manifest, the card of a release and
the report follow. Rows name code as "module:name" and import nothing, so that help and a wrong setting answer at once.
"""

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from operator import attrgetter
from typing import Any


class Reads(Enum):
    """What a stage needs to make a shard."""

    ARCHIVE = "its archive"
    CHAIN = "the shards of its archive by all stages before"
    CHAIN_AND_ARCHIVE = "the shards of its archive by all stages before, and the archive"
    EVERYTHING = "the shards of all archives: ranks wait for each other here"


@dataclass(frozen=True)
class StageInfo:
    """One row of the table. Code is named as "module:name"."""

    name: str  # of the stage, and of the folder of its shards
    summary: str  # one sentence: for --help, the card of a release and the report
    settings: str  # class of its settings: a frozen dataclass in a module that imports no heavy library
    make: str = ""  # (settings, language) -> roots.stage.Stage; "": the settings are the stage
    program_make: str = ""  # the same for programming languages; "": no other
    run: str = ""  # (job, executor, progress, share) -> Manifest, for a stage that reads everything
    reads: Reads = Reads.CHAIN
    group: str = ""  # name of its settings in --set and --config; "": the stage's name
    command: str = ""  # that runs it; "": the stage's name
    explain: str = ""  # (row, what earlier stages know) -> lines for `roots why`; "": only kept or dropped
    reasons: str = ""  # drop reason -> what it means; "": the reason says it all
    options: str = "--lang fr"  # after `roots COMMAND WORK` in the command's example
    program_settings: str = ""  # class of its settings for programming languages; "": the same
    final: bool = False  # whether its shards are the dataset, cut by size, in `shards/`

    @property
    def shared(self) -> bool:
        """Whether all languages share its shards."""
        return self.reads is Reads.ARCHIVE

    @property
    def folder(self) -> str:
        """Name of the folder of its shards."""
        return "shards" if self.final else self.name


_ROWS = (
    StageInfo(
        "index",
        "Lists every record of the archives, with its charset and likely languages, without its text.",
        settings="pipelines.job.settings:IndexSettings",
        make="pipelines.index:make_index",
        reads=Reads.ARCHIVE,
        explain="pipelines.why:explain_index",
        reasons="pipelines.index:INDEX_REASONS",
        options="--input 'crawl/*.warc.gz'\n  roots index work --domains seeds.tsv --cc-index cc-index-table.paths.gz",
    ),
    StageInfo(
        "extract",
        "Takes the main text of the pages that can be in the language, and checks the language of that text.",
        settings="pipelines.job.settings:ExtractSettings",
        program_settings="pipelines.job.settings:ProgramSettings",
        make="pipelines.extract:Extract.of",
        program_make="pipelines.programs.stages:make_program_extract",
        reads=Reads.CHAIN_AND_ARCHIVE,
        explain="pipelines.why:explain_extract",
        reasons="pipelines.extract:EXTRACT_REASONS",
    ),
    StageInfo(
        "measure",
        "Computes every signal of each document.",
        settings="pipelines.job.settings:FilterSettings",
        make="pipelines.filter:Measure.of",
        program_make="pipelines.programs.stages:make_program_measure",
        group="filter",
        command="filter",
        explain="pipelines.why:explain_measure",
    ),
    StageInfo(
        "filter",
        "Compares the signals with the bounds of the language.",
        settings="pipelines.job.settings:FilterSettings",
        make="pipelines.filter:Filter.of",
        program_make="pipelines.programs.stages:make_program_filter",
        explain="pipelines.why:explain_filter",
    ),
    StageInfo(
        "dedup",
        "Removes exact copies and verified near-duplicates.",
        settings="pipelines.dedup.settings:DedupSettings",
        run="pipelines.pipeline:run_dedup_stage",
        reads=Reads.EVERYTHING,
        explain="pipelines.why:explain_dedup",
    ),
    StageInfo(
        "redact",
        "Replaces personal data.",
        settings="pipelines.job.settings:RedactSettings",
        make="pipelines.redact:make_redact",
        explain="pipelines.why:explain_redact",
        options="--lang fr --set redact.style=roots",
    ),
    StageInfo(
        "shard",
        "Writes the dataset: Arrow shards of a train and a validation split, by a hash of each document's id.",
        settings="pipelines.job.settings:ShardSettings",
        run="pipelines.pipeline:run_shard_stage",
        reads=Reads.EVERYTHING,
        explain="pipelines.why:explain_shard",
        options="--lang fr --set shard.shard_bytes=500000000\n  roots shard work --lang fr --format jsonl.zst",
        final=True,
    ),
)


STAGES: dict[str, StageInfo] = {row.name: row for row in _ROWS}


def chain_stages(before: str = "") -> list[str]:
    """The stages that make one shard of each archive; those before the stage `before`, where one is named."""
    names = list(STAGES)
    return [name for name in names[: names.index(before) if before else None] if not STAGES[name].final]


def settings_groups() -> dict[str, StageInfo]:
    """Every group of settings, with a stage that reads it."""
    return {row.group or row.name: row for row in STAGES.values()}


@dataclass(frozen=True)
class StageCommand:
    """A command that runs stages."""

    stages: tuple[str, ...]
    summary: str
    example: str


def stage_commands() -> dict[str, StageCommand]:
    """The commands that run stages: `run` for all, then one for each stage or for those whose rows name it."""
    commands = {
        "run": StageCommand(
            tuple(STAGES),
            "Runs the whole job: from archives to the dataset of one or several languages.",
            "roots run work --input 'crawl/*.warc.gz' --lang fr\n"
            "  roots run work --input crawl.wacz --input frwiki.xml.bz2 --lang fr\n"
            "  roots run work --input hf://datasets/org/set --set source.config=fr --lang fr\n"
            "  roots run work --catalogue sources.toml --lang 'fr sw'\n"
            "  roots run work --input 'd/*.jsonl.gz' --lang hi --like fineweb2:configs",
        )
    }
    for name in dict.fromkeys(row.command or row.name for row in STAGES.values()):
        rows = [row for row in STAGES.values() if (row.command or row.name) == name]
        commands[name] = StageCommand(
            tuple(row.name for row in rows),
            " ".join(row.summary for row in rows),
            f"roots {name} work {rows[0].options}",
        )
    return commands


def load(code: str) -> Any:
    """What "module:name" or "module:Class.method" names; its module is imported now."""
    module, _, name = code.partition(":")
    return attrgetter(name)(import_module(module))
