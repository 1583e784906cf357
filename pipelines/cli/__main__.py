"""`python -m pipelines.cli`: the `roots` command without its script."""

from pipelines.cli.main import main

main()
