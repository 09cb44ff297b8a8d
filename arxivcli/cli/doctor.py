"""`arxivcli doctor`: what there is on this machine, and what to do about it."""

from __future__ import annotations

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption


def doctor(json: JsonOption = False) -> None:
    """Check Python, PyTorch, GPUs, the built-in model, W&B, the hub, disks and caches; nothing is changed.

    The exit code is 0, also with warnings; 6 when the installation is damaged, 5 when a disk is full.
    """
    from arxivcli.steps import checkup

    findings = list(checkup.examine())
    if json:
        console.show_json([finding.figures() for finding in findings])
    else:
        console.show_table(("check", "state", "found"), [(f.check, f.state, f.found) for f in findings])
        for finding in findings:
            if finding.mend:
                console.show_line(f"{finding.check}: {finding.mend}")
    checkup.judge(findings)
