"""`mcu-build doctor`: is everything here?"""

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit, McuError


@click.command()
@click.option(
    "--install", is_flag=True, help="Get what is missing and comes with apt-get; sudo where needed."
)
@json_option
@debug_option
def command(install: bool, as_json: bool, debug: bool) -> Exit:
    """Check every tool that a build or a test needs. Status 3 where one is missing."""
    del debug
    from mcu_build.doctor import examine, install_missing

    findings, refusal = examine(), None
    try:
        if install and install_missing(findings):
            findings = examine()
    except McuError as error:
        refusal = error
    if as_json:
        status = end_json({"checks": [vars(finding) for finding in findings]}, refusal)
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "MISSING"
            print_text(f"{mark} {finding.name:<22} {finding.found}")
            if not finding.ok:
                print_text(f"        get it: {finding.fix}")
        status = end_text(refusal)
    return status if refusal or all(finding.ok for finding in findings) else Exit.TOOL_MISSING
