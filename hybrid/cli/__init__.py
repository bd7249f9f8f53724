"""The command line: one door per command, imported only when somebody walks through it.

`COMMANDS` is the whole registry. A module listed there has an `app`, a `typer.Typer`; to add a command is a module
and a line. No module here decides anything: arguments to nouns, one call, one print.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer import _click

# command -> (module, one line for --help)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("hybrid.cli.init", "Copy the example fleet into a new directory."),
    "validate": ("hybrid.cli.validate", "Read a fleet and print every error with file, line and column."),
    "schema": ("hybrid.cli.schema", "Print the JSON Schema of a manifest kind, for editors."),
    "plan": ("hybrid.cli.plan", "Decide where every stage runs, print the table, write the plan."),
    "explain": ("hybrid.cli.explain", "Say why a workload is where it is, or why not elsewhere."),
    "whatif": ("hybrid.cli.whatif", "Plan again with something lost or changed, and show the difference."),
    "diff": ("hybrid.cli.diff", "Show what differs between two plans."),
    "picture": ("hybrid.cli.picture", "Draw a plan as one HTML page: zones, sites, flows, what is not served."),
    "check": ("hybrid.cli.check", "Verify a plan against its fleet with an evaluator of its own."),
    "model": ("hybrid.cli.model", "Export, quantise, evaluate and approve models."),
    "trust": ("hybrid.cli.trust", "Make keys and sign metadata, several custodians in turn."),
    "bundle": ("hybrid.cli.bundle", "Build, inspect and verify signed bundles."),
    "site": ("hybrid.cli.site", "At the site: enrol, install, serve, roll back, look."),
    "deliver": ("hybrid.cli.deliver", "Carry a bundle to a site over SSH, resumable."),
    "cluster": ("hybrid.cli.cluster", "Compile a plan to Ray Serve, apply it, verify it live."),
    "knowledge": ("hybrid.cli.knowledge", "Index and list a site's documents."),
    "audit": ("hybrid.cli.audit", "Verify or export a site's evidence log."),
    "receipt": ("hybrid.cli.receipt", "Verify the receipts that boxes send home."),
    "report": ("hybrid.cli.report", "Write and verify residency reports."),
    "doctor": ("hybrid.cli.doctor", "Say what this machine can and cannot do."),
}


class LazyGroup(TyperGroup):
    """A group whose members are imported when they are called, so that `--help` answers at once."""

    def list_commands(self, ctx: _click.Context) -> list[str]:
        """Return the registry's names in its own order."""
        return list(COMMANDS)

    def get_command(self, ctx: _click.Context, cmd_name: str) -> Any:
        """Import the module behind `cmd_name`; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        door: typer.Typer = import_module(COMMANDS[cmd_name][0]).app
        door._add_completion = False  # or every member would offer to install a completion of its own
        command = typer.main.get_command(door)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: _click.Context, formatter: _click.HelpFormatter) -> None:
        """Print the registry's own lines: no member is imported for a help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Decide where AI pipelines run when the data may not leave, carry them there, serve them, and show it.",
    epilog="Exit codes: 0 done, 1 refused by a rule, 2 wrong input, 3 trust broken, 4 the world failed, "
    "130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from hybrid import __version__

        print(f"hybrid {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Hold the options that every command shares."""


def main() -> None:
    """Run the command line and exit with one of the codes of the design's table."""
    from hybrid.cli.console import exit_code_of

    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(exit_code_of(error))
