"""A page of another origin on this machine, and everything that it has a browser try against a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from selenium.webdriver import Chrome

FLAGS = (
    "--host-resolver-rules=MAP rebind.test 127.0.0.1",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks",
)
"""`rebind.test` is a name whose address turned into this machine's (DNS rebinding)."""

_SCRIPT = """
const [base, attempts, done] = arguments;
const ws = base.replace("http", "ws");
const within = (name, started) => Promise.race([
  started.then(said => ({name, said}), error => ({name, said: "failed"})),
  new Promise(end => setTimeout(() => end({name, said: "no answer"}), 60000)),
]);
const seen = async answer => answer.type === "opaque" ? "opaque" : `read ${answer.status}: ` + await answer.text();
const element = (tag, field, url) => new Promise(end => {
  const made = document.createElement(tag);
  made.onload = () => end(`loaded`);
  made.onerror = () => end("failed");
  made[field] = url;
  document.body.append(made);
});
const submit = (one, enctype) => new Promise(end => {
  const frame = document.createElement("iframe");
  frame.name = "f" + Math.random();
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, {method: "post", action: base + one.path, target: frame.name, enctype});
  const field = document.createElement("input");
  [field.name, field.value] = [one.body.slice(0, -1) + ',"x":"', '"}'];
  form.append(field);
  document.body.append(form);
  frame.onload = () => {
    let said = "opaque";
    try { if (frame.contentDocument && frame.contentDocument.location.href !== "about:blank")
      said = "read " + frame.contentDocument.body.innerText; } catch (error) { }
    end(said);
  };
  form.submit();
});
const socket = one => new Promise(end => {
  const made = new WebSocket(ws + one.path, one.protocols);
  made.onopen = () => made.send(JSON.stringify({type: "auth", token: "x"}));
  made.onmessage = message => end("read " + message.data);
  made.onerror = () => end("failed");
});
const tries = [];
for (const one of attempts) {
  const json = {"Content-Type": "application/json"};
  const send = extra => fetch(base + one.path, {method: one.method, body: one.body, credentials: "include", ...extra});
  if (one.kind === "read") {
    for (const mode of ["cors", "no-cors"])
      tries.push([`${mode} GET ${one.path}`, () => fetch(base + one.path, {mode, credentials: "include"}).then(seen)]);
    tries.push([`preflighted GET ${one.path}`, () => fetch(base + one.path, {headers: {"X-Any": "1"}}).then(seen)]);
    for (const [tag, field] of [["img", "src"], ["script", "src"]])
      tries.push([`${tag} ${one.path}`, () => element(tag, field, base + one.path)]);
  } else if (one.kind === "write") {
    tries.push([`preflighted ${one.method} ${one.path}`, () => send({headers: json}).then(seen)]);
    tries.push([`preflighted DELETE ${one.path}`, () => fetch(base + one.path, {method: "DELETE"}).then(seen)]);
    for (const mode of ["cors", "no-cors"]) {
      const plain = {headers: {"Content-Type": "text/plain"}, mode};
      tries.push([`${mode} text/plain ${one.path}`, () => send({...plain, method: "POST"}).then(seen)]);
    }
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
      tries.push([`${enctype} form ${one.path}`, () => submit(one, enctype)]);
    tries.push([`beacon ${one.path}`, async () => navigator.sendBeacon(base + one.path, one.body) ? "sent" : "failed"]);
  } else {
    tries.push([`websocket ${one.path}`, () => socket(one)]);
  }
}
(async () => {
  const said = [];
  for (const [name, start] of tries) said.push(await within(name, start()));
  done(said);
})();
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a page tries: `read` a path, `write` a JSON body there, or open a WebSocket (`socket`)."""

    kind: str
    path: str
    method: str = "POST"
    body: str = "{}"
    protocols: tuple[str, ...] = ()


@contextmanager
def foreign_page() -> Iterator[int]:
    """Serve an empty page on a port of its own; yield the port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"<!doctype html><title>foreign</title><body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def attack(chrome: Chrome, base: str, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Try everything from the page that is open; return what it saw, by the try."""
    chrome.set_script_timeout(600)
    told = [
        {"kind": a.kind, "path": a.path, "method": a.method, "body": a.body, "protocols": list(a.protocols)}
        for a in attempts
    ]
    found: list[dict[str, Any]] = chrome.execute_async_script(_SCRIPT, base, told)
    return {str(one["name"]): str(one["said"]) for one in found}


def read_by_page(outcomes: dict[str, str]) -> dict[str, str]:
    """Return the tries whose answers the page could read, refusals (401, 403) of our own aside."""
    return {name: said for name, said in outcomes.items() if said.startswith("read")}
