"""Commands of a release: publish, push, signatures, takedown, pointers, rebuild."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.catalogue import Rights
from pipelines.cli.options import (
    WORK,
    errors_are_lines,
    executor_of,
    one_group,
    only_groups,
    progress_of,
    run_options,
    settings_options,
    split_codes,
)
from pipelines.dedup.released import remove_signatures, write_signatures
from pipelines.dedup.settings import Dedup, with_preset
from pipelines.publishing import pointers as pointers_
from pipelines.publishing import publish as publish_
from pipelines.publishing import push as push_
from pipelines.publishing import takedown as takedown_
from pipelines.publishing.takedown_plan import read_requests
from pipelines.publishing.validate import validate
from roots.errors import PublishError
from roots.settings import build

FOLDER = click.Path(file_okay=False, path_type=Path)
RELEASE = click.argument("release", type=FOLDER)


@click.command()
@WORK
@click.option("--to", "target", required=True, help="Folder of the release, or user/name of the Hub.")
@click.option("--lang", "-l", "codes", multiple=True, help="Only these languages. [default: all that have a dataset]")
@click.option("--dry-run", is_flag=True, help="Write and load the folder, but send nothing.")
@click.option("--signatures", is_flag=True, help="Write what a later `roots dedup --against` needs beside it.")
@run_options
@settings_options
@errors_are_lines
def publish(work: Path, target: str, codes: Sequence[str], dry_run: bool, signatures: bool, **options: Any) -> None:
    """Write a release in Hugging Face layout with its card, check it by loading it, and push it where asked.

    A target of the form user/name is a repository of the Hub unless a folder of that name exists; its folder is then
    WORK/release.

    \b
    Example:
      roots publish work --to release --set publish.contact=corpus@example.org
    """
    values = only_groups(("publish", "rights", "push", "dedup"), options["pairs"], options["config"])
    hub = target.count("/") == 1 and not target.startswith((".", "/")) and not Path(target).exists()
    folder = work / "release" if hub else Path(target)
    repo = {"repo": target} if hub else {}
    settings = build(publish_.Publish, {**repo, **values["publish"]}, "publish")
    rights = build(Rights, values["rights"], "rights")
    scheme = build(Dedup, with_preset(values["dedup"]), "dedup").scheme
    sending = build(push_.Push, {**values["push"], **repo}, "push") if hub else None
    executor = executor_of(options["executor"], options["workers"])
    with progress_of("", options["quiet"]) as progress:
        manifest = publish_.publish(work, folder, split_codes(codes), settings, rights, executor, progress)
    remove_signatures(folder)  # of what was published here before
    if signatures:
        with progress_of("", options["quiet"]) as progress:
            write_signatures(folder, scheme, executor, progress)
    problems = list(validate(folder))
    for problem in problems:
        click.echo(f"{folder}: {problem}", err=True)
    if problems:
        raise PublishError(f"{folder} does not load as it should; nothing was sent")
    rows = sum(counts["rows"] for each in manifest["languages"].values() for counts in each["splits"].values())
    click.echo(f"{folder}: version {manifest['version']}, {rows} documents in {len(manifest['files'])} files")
    click.echo("datasets loads it, whole and as a stream; its card is as the Hub wants it")
    if sending and not dry_run:
        with progress_of("", options["quiet"]) as progress:
            commits = push_.push(folder, sending, progress)
        click.echo(f"{target}: {len(commits)} commits")


@click.command()
@RELEASE
@click.option("--to", "repo", required=True, help="user/name of the Hub.")
@settings_options
@errors_are_lines
def push(release: Path, repo: str, **options: Any) -> None:
    """Send a release to its repository; private unless told otherwise. What arrived is not sent twice.

    \b
    Example:
      roots push release --to user/name
    """
    settings = one_group(push_.Push, "push", options["pairs"], options["config"], repo=repo)
    with progress_of("", quiet=False) as progress:
        commits = push_.push(release, settings, progress)
    click.echo(f"{repo}: {len(commits)} commits")


@click.command()
@RELEASE
@run_options
@settings_options
@errors_are_lines
def signatures(release: Path, **options: Any) -> None:
    """Write what a later `roots dedup --against RELEASE` needs beside a release: a tenth of its text's bytes.

    It is written for one scheme of dedup; give the settings that the later run will have.

    \b
    Example:
      roots signatures release --set dedup.preset=thorough
    """
    settings = build(Dedup, with_preset(only_groups(("dedup",), options["pairs"], options["config"])["dedup"]), "dedup")
    with progress_of("", options["quiet"]) as progress:
        executor = executor_of(options["executor"], options["workers"])
        manifest = write_signatures(release, settings.scheme, executor, progress)
    click.echo(f"{release}: {manifest.rows} documents signed in {len(manifest.shards)} files, {manifest.made} made now")


@click.command()
@RELEASE
@click.option(
    "--list", "-L", "listed", type=click.Path(path_type=Path), required=True, help="What is to go, one a line."
)
@run_options
@settings_options
@errors_are_lines
def takedown(release: Path, listed: Path, **options: Any) -> None:
    """Remove documents from a release: only the files they are in are written anew, and their absence is proved.

    \b
    Example:
      roots takedown release --list urls.txt --set takedown.signed_off_by=NAME
    """
    settings = one_group(takedown_.Takedown, "takedown", options["pairs"], options["config"])
    with progress_of("", options["quiet"]) as progress:
        executor = executor_of(options["executor"], options["workers"])
        diff = takedown_.takedown(release, read_requests(listed), settings, executor, progress)
    if diff is None:
        click.echo(f"{release}: nothing that is asked for is in it; nothing was changed")
    else:
        proof = diff["proof"]
        click.echo(
            f"{release}: version {diff['to']}: {len(diff['removed'])} documents removed, {len(diff['replaced'])} "
            f"replaced by a copy; {len(diff['files'])} files written anew, all others as they were\n"
            f"searched {proof['rows']} rows in {proof['files']} files for what was asked for: found {proof['found']}\n"
            f"what changed: {release / 'takedowns' / (diff['to'] + '.json')}"
        )


@click.command()
@RELEASE
@click.option("--to", "target", type=FOLDER, required=True, help="Folder to write.")
@run_options
@errors_are_lines
def pointers(release: Path, target: Path, **options: Any) -> None:
    """Write a release without text: ids, places in archives and edits, from which others make it again.

    \b
    Example:
      roots pointers release --to pointers
    """
    with progress_of("", options["quiet"]) as progress:
        executor = executor_of(options["executor"], options["workers"])
        manifest = pointers_.make_pointers(release, target, executor, progress)
    click.echo(f"{target}: {len(manifest['pointers'])} files of pointers")


@click.command()
@RELEASE
@click.option("--input", "-i", "inputs", multiple=True, required=True, metavar="PATTERN", help="The archives.")
@click.option("--to", "target", type=FOLDER, required=True, help="Folder to write.")
@run_options
@settings_options
@errors_are_lines
def rebuild(release: Path, inputs: Sequence[str], target: Path, **options: Any) -> None:
    """Make a corpus again from its pointers and the archives, byte for byte.

    \b
    Example:
      roots rebuild pointers --input 'crawl/*.warc.gz' --to again
    """
    settings = one_group(pointers_.Rebuild, "rebuild", options["pairs"], options["config"])
    with progress_of("", options["quiet"]) as progress:
        executor = executor_of(options["executor"], options["workers"])
        manifest = pointers_.rebuild(release, target, inputs, settings, executor, progress)
    click.echo(f"{target}: {len(manifest['files'])} files, as they were")


COMMANDS: dict[str, click.Command] = {
    "publish": publish,
    "push": push,
    "signatures": signatures,
    "takedown": takedown,
    "pointers": pointers,
    "rebuild": rebuild,
}
