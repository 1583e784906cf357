"""Train from the command line of torchrun: `torchrun --nproc-per-node 2 -m trainer WORK --lang fr --set shard=2`.

The command `roots train` does the same in one process.
"""

import argparse
import sys
from pathlib import Path

from roots.errors import RootsError
from roots.settings import parse_pairs
from trainer import corpus
from trainer.training.recipe import recipe_for


def main(arguments: list[str]) -> int:
    """Train, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("work", type=Path, help="folder of the pipeline, with tokens made by `roots tokens`")
    parser.add_argument("--lang", required=True, help="languages, separated by spaces or commas")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of trainer.training.recipe"
    )
    parser.add_argument("--target", type=Path, help="run folder; by default the language's model folder")
    options = parser.parse_args(arguments)

    from trainer.training.train import train_decoder  # torch: only now that the arguments are known to be good

    languages = options.lang.replace(",", " ").split()
    try:
        values = parse_pairs(f"train.{pair.removeprefix('train.')}" for pair in options.set).get("train", {})
        recipe = recipe_for(values)
        places = corpus.run_folders(options.work, languages)
        sources = {language: places.tokens / language for language in languages}
        result = train_decoder(recipe, sources, places.tokenizer, options.target or places.model)
    except RootsError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(
        f"{'finished' if result.finished else 'stopped'} at step {result.step}, {result.tokens:,} tokens\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
