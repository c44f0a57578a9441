"""What a daemon says of itself at a terminal: address, CLI, login, one curl to try.

What may live here: texts for whoever started it.
"""

from ocpd.api.health import Report
from ocpd.daemon.state import Daemon


def describe(daemon: Daemon) -> str:
    """Return the greeting of a daemon that is ready."""
    report = daemon.report()
    claude = report.claude
    lines = [f"ocpd {report.version} listens on {', '.join(daemon.urls)}"]
    if claude.path is None:
        lines.append(f"  Claude CLI: {claude.problem}")
    else:
        lines.append(f"  Claude CLI: {claude.path} ({claude.version or 'version unknown'})")
        lines += [f"  {text}" for text in (claude.problem, claude.warning) if text]
        lines.append(f"  signed in:  {_signed_in(report)}")
    lines += [f"  CAUTION: {text}" for text in report.warnings]
    question = '{"model":"sonnet","messages":[{"role":"user","content":"Hello!"}]}'
    lines += [
        f"  manage it:  ocpctl --socket {daemon.socket} status",
        "  try:",
        f"    curl {daemon.url}/v1/chat/completions -H 'content-type: application/json' "
        f"-d '{question}'",
    ]
    return "\n".join(lines)


def _signed_in(report: Report) -> str:
    if report.demo:
        return "no (demo: the answers are canned)"
    match report.auth.ok:
        case True:
            return "yes"
        case False:
            return report.auth.message
        case None:
            return f"unknown ({report.auth.message})"
