#!/usr/bin/env bash
# Gitea 1.25 cancels the unfinished run of a workflow when the workflow is dispatched again; Gitea 1.26 does not.
#
# Versions: code.gitea.io/gitea v1.25.5 and v1.26.4, built from their modules with SQLite.
#
# Behaviour: a workflow without `concurrency` is dispatched twice on one branch by the API, with other inputs. 1.25 cancels
# the first run as soon as it takes the second dispatch, and answers 204 both times. 1.26 leaves the first one waiting.
# Whoever builds two images from one branch by two dispatches gets one of them on 1.25, and no error. There a second
# branch, or waiting for the end of the first run, keeps both.
#
# Seen (runs in the order in which they were dispatched):
#   1.25.5: 204 204, runs: completed/cancelled queued/-
#   1.26.4: 204 204, runs: queued/- queued/-
#
# Needs go, gcc, git, curl and python3; takes about ten minutes. Exit code 0: seen again as above.
set -euo pipefail

folder=$(mktemp -d /tmp/finding-XXXXXX)
gitea=''
trap '[ -z "$gitea" ] || kill "$gitea" 2>/dev/null || true; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
chmod 755 "$folder"
export GOPATH="$folder/go" CGO_ENABLED=1
# Gitea does not run as root.
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=nobody --regid=nogroup --clear-groups) owner=nobody; else as=() owner=$(id -un); fi

build() {
    local module
    module=$(cd "$folder" && go mod download -json "code.gitea.io/gitea@v$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
    mkdir "$folder/$1"
    (cd "$module" && go build -trimpath -tags 'sqlite sqlite_unlock_notify' -ldflags "-X main.Version=$1" -o "$folder/$1/gitea" .)
    mkdir "$folder/$1/static"
    cp -r "$module/options" "$module/public" "$module/templates" "$folder/$1/static/"
    chmod -R u+w,a+rX "$folder/$1"
}

json() { python3 -c "import json, sys; found = json.load(sys.stdin); print($1)"; }

observe() {
    local version=$1 home="$folder/$1" port base
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    base="http://127.0.0.1:$port/api/v1"
    cat >"$home/app.ini" <<INI
RUN_USER = $owner
WORK_PATH = $home
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = $port
ROOT_URL = http://127.0.0.1:$port/
OFFLINE_MODE = true
DISABLE_SSH = true
STATIC_ROOT_PATH = $home/static
[database]
DB_TYPE = sqlite3
PATH = $home/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = only-for-this-script
[actions]
ENABLED = true
[repository]
DEFAULT_BRANCH = main
INI
    chown -R "$owner" "$home"
    export HOME="$home" GITEA_WORK_DIR="$home"
    (cd "$home" && exec "${as[@]}" ./gitea web --config app.ini >log 2>&1) &
    gitea=$!
    until curl -sf "$base/version" >/dev/null; do sleep 0.5; done
    (cd "$home" && "${as[@]}" ./gitea admin user create --admin --username somebody --password not-a-secret-1 \
        --email somebody@example.org --must-change-password=false --config app.ini >>log 2>&1)
    call() { curl -s -u somebody:not-a-secret-1 -H 'Content-Type: application/json' "$@"; }
    call -X POST "$base/user/repos" -d '{"name": "build", "auto_init": true, "default_branch": "main"}' >/dev/null
    workflow=$(printf 'on:\n  workflow_dispatch:\n    inputs:\n      image: {type: string}\njobs:\n  build:\n    runs-on: nobody\n    steps:\n      - run: "true"\n' | base64 -w 0)
    call -X POST "$base/repos/somebody/build/contents/.gitea/workflows/build.yml" \
        -d "{\"content\": \"$workflow\", \"message\": \"add a workflow\"}" >/dev/null
    local answers='' image
    for image in one two; do
        answers+=$(call -o /dev/null -w '%{http_code} ' -X POST "$base/repos/somebody/build/actions/workflows/build.yml/dispatches" \
            -d "{\"ref\": \"main\", \"inputs\": {\"image\": \"$image\"}}")
        sleep 3
    done
    runs=$(call "$base/repos/somebody/build/actions/runs" |
        json '*[run["status"] + "/" + (run.get("conclusion") or "-") for run in sorted(found["workflow_runs"], key=lambda run: run["id"])]')
    echo "$version: ${answers% }, runs: $runs"
    kill "$gitea"
    wait "$gitea" || true
    gitea=''
}

for version in 1.25.5 1.26.4; do
    build "$version"
    observe "$version" | tee -a "$folder/seen"
done
diff - "$folder/seen" <<'SEEN'
1.25.5: 204 204, runs: completed/cancelled queued/-
1.26.4: 204 204, runs: queued/- queued/-
SEEN
