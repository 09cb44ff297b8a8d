"""examples/monitoring works: promtool likes it, and a real Prometheus reads the service with it."""

import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from served import PAPER, serving, until

EXAMPLES = Path(__file__).parents[1] / "examples" / "monitoring"
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text("utf-8"))
INSTALL = "is not installed (on Debian: apt-get install prometheus)"
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason=f"promtool {INSTALL}")


def promtool(*arguments: str) -> None:
    command = ["promtool", *arguments]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def shown() -> list[str]:
    """The queries of the dashboard, as Grafana sends them."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = {"$job": "arxivcli", "$instance": ".*", "$__rate_interval": "1m"}
    return [re.sub(r"\$\w+", lambda match: variables[match[0]], query) for query in found]


@needs_promtool
def test_promtool_finds_no_fault() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "alerts.yml")


@needs_promtool
def test_alerts_come_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (EXAMPLES / "alerts.yml").read_text("utf-8")))
    tested = (EXAMPLES / "alerts_test.yml").read_text("utf-8")
    assert alerts == set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:", tested))
    assert alerts == set(re.findall(r"alertname: (\w+)}", tested.split("nobody asks")[0]))


def cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    """The squares of Grafana's grid, 24 wide, that a panel covers."""
    assert min(x, y) >= 0 < min(w, h)
    return [(column, row) for column in range(x, x + w) for row in range(y, y + h)]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [cell for panel in panels for cell in cells(**panel["gridPos"])]
    assert len(set(taken)) == len(taken), "panels lie on each other"
    assert {x for x, _ in taken} == set(range(24))
    assert {panel["type"] for panel in panels} <= {"timeseries", "stat", "gauge", "bargauge", "heatmap", "table", "row"}
    for panel in panels:
        targets = panel["targets"]
        assert targets
        assert panel["title"]
        assert len({target["refId"] for target in targets}) == len(targets)
        assert all(target["datasource"]["uid"] == "${datasource}" for target in targets)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels)


def test_what_is_watched_is_there(handmade_model: Path) -> None:
    with serving("--model", handmade_model) as served:
        served.predict()
        there = set(re.findall(r"^(arxivcli_\w+?)(?:\{.*\})? ", served.ask("/metrics").body.decode(), re.MULTILINE))
    declared = {"arxivcli_errors_total", "arxivcli_logged_predictions_total"}  # shown once there is one
    asked = " ".join(shown()) + (EXAMPLES / "alerts.yml").read_text("utf-8")
    assert set(re.findall(r"(?<!:)\b(arxivcli_\w+)(?=[{)\[])", asked)) <= there | declared


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus with the configuration in a folder; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=series", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *options], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://{address}/api/v1/"
    finally:
        process.terminate()
        process.wait(30)


def answer(address: str, **question: str) -> Any:
    """What the API says; nothing while it does not listen yet."""
    try:
        with urllib.request.urlopen(f"{address}?{urllib.parse.urlencode(question)}", timeout=30) as reply:
            return json.load(reply)["data"]
    except ConnectionError:
        return None
    except urllib.error.HTTPError as error:
        if error.code == 503:  # it has only begun
            return None
        raise AssertionError(error.read()) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            return None
        raise


@pytest.mark.skipif(shutil.which("prometheus") is None, reason=f"prometheus {INSTALL}")
@pytest.mark.parametrize("workers", [1, 2])
def test_prometheus_reads_the_service(handmade_model: Path, tmp_path: Path, workers: int) -> None:
    shutil.copy(EXAMPLES / "alerts.yml", tmp_path)
    with serving("--model", handmade_model, "--workers", workers) as served:
        config = (EXAMPLES / "prometheus.yml").read_text("utf-8").replace("interval: 15s", "interval: 1s")
        (tmp_path / "prometheus.yml").write_text(config.replace("localhost:8000", f"127.0.0.1:{served.port}"))
        served.ask("/predict/batch", [PAPER] * 7)
        with prometheus(tmp_path) as address:

            def value(query: str) -> float | None:
                data = answer(f"{address}query", query=query)
                return float(data["result"][0]["value"][1]) if data and data["result"] else None

            until(lambda: value('up{job="arxivcli"}') == 1)
            until(lambda: value('sum(arxivcli_predictions_total{archive="math"})') == 7)
            assert value("sum(arxivcli_ready)") == workers
            for query in shown():
                assert answer(f"{address}query", query=query) is not None
            groups = answer(f"{address}rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) == 12
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
            [target] = answer(f"{address}targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
