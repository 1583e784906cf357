"""Commands of a release: publish, push, signatures, takedown, pointers, rebuild.

Settings are built before slow modules are imported, so that a mistake is answered at once.
"""

from pathlib import Path

import click

from pipelines.cli.options import (
    ANY_LANGUAGES,
    FOLDER,
    WORK,
    RunOptions,
    dry_run_option,
    run_options,
    settings_options,
    show_errors,
)

_RELEASE = click.argument("release", type=FOLDER)
_TARGET = click.option("--to", "target", type=FOLDER, required=True, help="Folder to write.")


@click.command("publish")
@WORK
@click.option("--to", "target", required=True, help="Folder of the release, or user/name of the Hub.")
@ANY_LANGUAGES
@click.option("--signatures", is_flag=True, help="Also write what a later `roots dedup --against` needs.")
@dry_run_option("Write the folder and load it, but send nothing.")
@run_options
@settings_options
@show_errors
def _publish(work: Path, target: str, codes: tuple[str, ...], signatures: bool, options: RunOptions) -> None:
    """Writes a release in Hugging Face layout, checks it, and pushes it if asked.

    A target of the form user/name is a repository of the Hub, unless a folder of that name exists; the folder of the
    release is then WORK/release. The release is loaded as a check before anything is sent.

    \b
    Example:
      roots publish work --to release --set publish.contact=corpus@example.org
    """
    from pipelines.publishing.settings import DELIVERY_GROUPS, Delivery

    settings = options.only(*DELIVERY_GROUPS)
    delivery = Delivery(work, target, codes, signatures, not options.dry_run, settings)
    from pipelines.publishing.deliver import deliver

    with options.progress() as progress:
        delivered = deliver(delivery, options.make_executor(), progress)
    click.echo("\n".join(delivered.lines()))


@click.command("push")
@_RELEASE
@click.option("--to", "repo", required=True, help="user/name of the Hub.")
@settings_options
@show_errors
def _push(release: Path, repo: str, options: RunOptions) -> None:
    """Sends a release to the Hub.

    A repository that this makes is private unless push.private=false. A file that has arrived is not sent twice.

    \b
    Example:
      roots push release --to user/name
    """
    from pipelines.publishing.settings import PushSettings

    settings = options.build(PushSettings, "push", repo=repo)
    from pipelines.publishing.push import push

    with options.progress() as progress:
        commits = push(release, settings, progress)
    click.echo(f"{repo}: {len(commits)} commits")


@click.command("signatures")
@_RELEASE
@run_options
@settings_options
@show_errors
def _signatures(release: Path, options: RunOptions) -> None:
    """Writes what a later `roots dedup --against RELEASE` needs.

    It takes a tenth of the bytes of the release's text, and fits one scheme of dedup: give the settings that the later
    run will have.

    \b
    Example:
      roots signatures release --set dedup.preset=thorough
    """
    from pipelines.dedup.settings import build_dedup

    settings = build_dedup(options.only("dedup")["dedup"])
    from pipelines.dedup.released import write_signatures

    with options.progress() as progress:
        manifest = write_signatures(release, settings.scheme, options.make_executor(), progress)
    click.echo(f"{release}: {manifest.rows} documents signed in {len(manifest.shards)} files, {manifest.made} made now")


@click.command("takedown")
@_RELEASE
@click.option(
    "--list", "-L", "listed", type=click.Path(path_type=Path), required=True, help="What to remove, one request a line."
)
@run_options
@settings_options
@show_errors
def _takedown(release: Path, listed: Path, options: RunOptions) -> None:
    """Removes documents from a release, and proves their absence.

    Only the files that hold such documents are written again. A request that matches no document is named.

    \b
    Example:
      roots takedown release --list urls.txt --set takedown.signed_off_by=NAME
    """
    from pipelines.publishing.settings import TakedownSettings

    settings = options.build(TakedownSettings, "takedown")
    from pipelines.publishing.takedown import describe_takedown, takedown
    from pipelines.publishing.takedown_list import read_requests

    with options.progress() as progress:
        result = takedown(release, read_requests(listed), settings, options.make_executor(), progress)
    click.echo("\n".join(describe_takedown(release, result)))


@click.command("pointers")
@_RELEASE
@_TARGET
@run_options
@show_errors
def _pointers(release: Path, target: Path, options: RunOptions) -> None:
    """Writes a release without text, from which others rebuild it.

    It holds ids, places in archives, and edits.

    \b
    Example:
      roots pointers release --to pointers
    """
    from pipelines.publishing.pointers import make_pointers

    with options.progress() as progress:
        manifest = make_pointers(release, target, options.make_executor(), progress)
    click.echo(f"{target}: {len(manifest['pointers'])} files of pointers")


@click.command("rebuild")
@_RELEASE
@click.option("--input", "-i", "inputs", multiple=True, required=True, metavar="PATTERN", help="The archives.")
@_TARGET
@run_options
@settings_options
@show_errors
def _rebuild(release: Path, inputs: tuple[str, ...], target: Path, options: RunOptions) -> None:
    """Makes a corpus from its pointers and the archives, byte for byte.

    \b
    Example:
      roots rebuild pointers --input 'crawl/*.warc.gz' --to again
    """
    from pipelines.publishing.settings import RebuildSettings

    settings = options.build(RebuildSettings, "rebuild")
    from pipelines.publishing.pointers import rebuild

    with options.progress() as progress:
        manifest = rebuild(release, target, inputs, settings, options.make_executor(), progress)
    click.echo(f"{target}: {len(manifest['files'])} files, as they were")


COMMANDS: dict[str, click.Command] = {
    "publish": _publish,
    "push": _push,
    "signatures": _signatures,
    "takedown": _takedown,
    "pointers": _pointers,
    "rebuild": _rebuild,
}
