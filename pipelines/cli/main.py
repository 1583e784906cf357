"""The `roots` command: its commands in groups. Each command reads options, calls one function and prints.

A command's module is imported when the command is run or asked for its own help; the list of commands needs none.
"""

from dataclasses import dataclass
from importlib import import_module

import click

from pipelines.cli.options import CommandGroup
from pipelines.job.stages import stage_commands

_JOB = {name: command.summary for name, command in stage_commands().items()}


@dataclass(frozen=True)
class _Section:
    """Commands that stand together in `roots --help`."""

    title: str
    module: str  # that has them in its COMMANDS
    commands: dict[str, str]  # name -> first sentence of its help


_SECTIONS = (
    _Section("The whole job", "pipelines.cli.job", {"run": _JOB.pop("run")}),
    _Section("Its stages, one by one", "pipelines.cli.job", _JOB),
    _Section(
        "Look and check",
        "pipelines.cli.look",
        {
            "plan": "Forecasts the hours, memory and disk of a crawl.",
            "status": "Prints how far each language is, and which shards are missing.",
            "why": "Prints the path of one document, and why it was kept or dropped.",
            "find": "Names the documents that hold a text, or parts of it.",
            "decontaminate": "Reports which texts of evaluation sets stand in the dataset.",
            "dropped": "Prints what was dropped: counts by reason, and some documents with their numbers.",
            "verify": "Checks that every row is accounted for and every byte is as written.",
            "settings": "Prints every setting with its default and meaning, as a TOML file.",
        },
    ),
    _Section(
        "Languages",
        "pipelines.cli.language",
        {
            "report": "Writes the threshold workbench of a language, one HTML file.",
            "judge": "Filters again by other bounds, from the stored measures.",
            "derive": "Derives bounds from trusted text or from a speaker's labels.",
            "languages": "Prints every language that can be made, with its code.",
        },
    ),
    _Section(
        "Models and measurements",
        "pipelines.cli.models",
        {
            "extractor": "Main text: train the model that finds it.",
            "lid": "Language identification: train a model, measure any.",
            "perplexity": "The signal perplexity: train its model.",
            "quality": "The signal quality: train its classifier.",
            "pii": "Personal data: what is looked for, and how well it is found.",
        },
    ),
    _Section(
        "Releases",
        "pipelines.cli.release",
        {
            "publish": "Writes a release in Hugging Face layout, checks it, and pushes it if asked.",
            "push": "Sends a release to the Hub.",
            "signatures": "Writes what a later `roots dedup --against RELEASE` needs.",
            "takedown": "Removes documents from a release, and proves their absence.",
            "pointers": "Writes a release without text, from which others rebuild it.",
            "rebuild": "Makes a corpus from its pointers and the archives, byte for byte.",
        },
    ),
    _Section(
        "From corpus to model",
        "pipelines.cli.trainer",
        {
            "tokenizer": "Byte-level BPE: train a tokenizer on the shards, measure any.",
            "tokens": "Turns the shards into token shards, or into token files for other trainers.",
            "train": "Trains the decoder on the token shards.",
            "evaluate": "Measures a model on held-out text, or by tasks.",
            "export": "Writes a folder that transformers loads as BloomForCausalLM.",
            "ablate": "Compares two corpora by the models they make.",
            "memorization": "Measures how often a model completes what its corpus repeats.",
        },
    ),
    _Section(
        "After pre-training",
        "pipelines.cli.tuning",
        {
            "prompts": "Makes prompted examples of labelled records by templates, or of ready pairs.",
            "finetune": "Fine-tunes a model on prompts: only targets count, and the best checkpoint stays.",
            "generate": "Continues prompts by a model: a run, an export, or another causal model.",
        },
    ),
)


class _Roots(CommandGroup):
    """The commands of `_SECTIONS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return [name for section in _SECTIONS for name in section.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for an unknown one."""
        for section in _SECTIONS:
            if cmd_name in section.commands:
                found: click.Command = import_module(section.module).COMMANDS[cmd_name]
                return found
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups."""
        width = max(map(len, self.list_commands(ctx)))
        for section in _SECTIONS:
            with formatter.section(section.title):
                formatter.write_dl([(name.ljust(width), text) for name, text in section.commands.items()])


@click.group(cls=_Roots, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="roots-corpus")
def main() -> None:
    """From web archives to a corpus you can account for.

    \b
    The whole job, and where to look afterwards:
      roots run work --input 'crawl/*.warc.gz' --lang fr
      roots why https://example.org/page --work work
      roots verify work
    """


if __name__ == "__main__":
    main()
