#!/usr/bin/env bash
# From arXiv's servers to a model without a network: a double of them on this machine, with invented papers.
#
#     uv run bash examples/fetch/offline.sh [FOLDER]
#
# The same commands without the exported addresses ask arXiv itself, and take their time: it wants three seconds
# between two requests.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"

(cd "$here" && exec python -m tests.double --papers 3000 --page 250 --port-file "$work/ports.json") > servers.log &
trap 'kill $! 2> /dev/null || true' EXIT
until [ -s ports.json ]; do sleep 0.1; done
address() { python -c 'import json, sys; print(json.load(open("ports.json"))[sys.argv[1]])' "$1"; }
export ARXIVCLI_OAI_URL ARXIVCLI_API_URL ARXIVCLI_SNAPSHOT_URL ARXIVCLI_ALLOW_HOST
ARXIVCLI_OAI_URL=$(address oai)
ARXIVCLI_API_URL=$(address query)
ARXIVCLI_SNAPSHOT_URL=$(address snapshot)
ARXIVCLI_ALLOW_HOST=$(address storage | sed 's,.*//,,')

show() { echo "\$ arxivcli $*"; arxivcli "$@"; }
show fetch --pace 0.1                                         # the snapshot
show fetch --set math --from 2024-01-01 --pace 0.1            # what changed in mathematics since
show fetch --query 'cat:cs.CL' --limit 20 --pace 0.1          # the newest of a search
show fetch --status
show preprocess data/raw -o data/papers
show train --data data/papers -o models/invented --set min_count=2 --set epochs=5
show classify "$here/examples/paper.json" --model models/invented --top 1
