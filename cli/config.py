"""`turnlog config`: the configuration in force, and where each value is from. No secret is shown."""

import click

from ..server.config import load_config
from ..server.config_fields import OPTIONS
from .options import config_option, json_option, print_json

__all__ = ["command"]


@click.command("config")
@config_option
@json_option
def command(config: str | None, as_json: bool) -> None:
    """Show what `turnlog serve` would run with here: each option, its value, and whether it is from the file, the environment
    or nobody.

    What is shown without its origin as a comment is a turnlog.toml. Secrets are masked.
    """
    loaded = load_config(config)
    if as_json:
        for path, option in OPTIONS.items():
            shown = {"option": option.name, "value": loaded.shown(option), "origin": loaded.origins[path]}
            print_json(shown | {"variable": option.variable})
        return
    click.echo(f"# {loaded.file or 'no turnlog.toml here'}")
    for name in loaded.unknown:
        click.echo(f"# ${name} is set, and is no option")
    section = ""
    first = {path[:-1]: place for place, path in reversed(list(enumerate(OPTIONS)))}
    for path, option in sorted(OPTIONS.items(), key=lambda one: first[one[0][:-1]]):  # a table of TOML stands in one piece
        if (table := ".".join(path[:-1])) != section:
            section = table
            click.echo(f"\n[{section}]")
        line = f"# {path[-1]} is not set" if loaded.values[path] is None else f"{path[-1]} = {loaded.shown(option)}"
        click.echo(f"{line:<48}  # {loaded.origins[path]}")
