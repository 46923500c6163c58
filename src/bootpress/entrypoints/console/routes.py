"""The paths below `/app`: log in, log out, the newest publications, one publication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from bootpress.core.context import Caller, Context
from bootpress.core.errors import BootpressError, NotFound, Unauthenticated
from bootpress.entrypoints.api import problems, request_body
from bootpress.entrypoints.api.operations import Authenticator
from bootpress.entrypoints.api.problems import Problem
from bootpress.entrypoints.console import templating, views
from bootpress.entrypoints.console.csrf import HOME, LOGIN, LOGOUT, SIGN_IN, require_same_origin, safe_return_path
from bootpress.entrypoints.console.sessions import Sessions
from bootpress.sign_in import codes_of
from bootpress.stack.home import Home

MAX_FORM = 8 * 1024
MAX_FIELDS = 8
FORM_TYPE = "application/x-www-form-urlencoded"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms, and plain HTTP has nothing else to tell
    # them from those of others (docs/decisions/0007). Nobody but ourselves gets to read where a reader comes from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
YEAR = 365 * 24 * 3600
Handler = Callable[[Request], Awaitable[Response]]


def install(app: FastAPI, context: Context, gate: Authenticator, *, home: Path) -> None:
    """Add the console's paths to an application; `home` keeps the one-time codes and the administrator's token."""
    console = ConsoleRoutes(context, gate, home)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/app", console.first_page),
        ("GET", "/app/", console.first_page),
        ("GET", LOGIN, console.login_form),
        ("POST", LOGIN, console.login),
        ("POST", LOGOUT, console.logout),
        ("GET", SIGN_IN, console.sign_in),
        ("GET", HOME, console.publications),
        ("GET", HOME + "/{id}", console.publication),
        ("GET", "/app/{rest:path}", console.not_found),
    ]
    app.add_route(templating.STYLE_PATH, console.style, methods=["GET"])
    for method, path, handler in routes:
        app.add_route(path, console.with_error_pages(handler), methods=[method])


class ConsoleRoutes:
    """Asks operations on behalf of the token in the session, and shows what they answer."""

    def __init__(self, context: Context, gate: Authenticator, home: Path) -> None:
        self._context = context
        self._home = home
        self._gate = gate
        self._sessions = Sessions(context)

    async def first_page(self, request: Request) -> Response:
        """Lead to the publications, or to the login."""
        return RedirectResponse(HOME if self._sessions.is_present(request) else LOGIN, 303)

    async def login_form(self, request: Request) -> Response:
        """Ask for a token; lead on at once whoever is logged in."""
        after = safe_return_path(request.query_params.get("next", HOME))
        if self._sessions.is_present(request):
            try:
                await self._gate.authenticate_token(self._sessions.token(request))
            except Unauthenticated:
                return self._form(after)
            return RedirectResponse(after, 303)
        return self._form(after)

    async def login(self, request: Request) -> Response:
        """Begin a session with the token of the form, and lead back to the page that was asked for."""
        self._require_same_site(request)
        form = await _read_form(request)
        after = safe_return_path(form.get("next", HOME))
        token = form.get("token", "").strip()
        try:
            await self._gate.authenticate_token(token)
        except Unauthenticated:
            said = "This token is not accepted: it is unknown here, was revoked, or has expired."
            return self._form(after, said=said, status=401)
        response = RedirectResponse(after, 303)
        self._sessions.begin(response, token)
        return response

    async def logout(self, request: Request) -> Response:
        """End the session, and lead to the login: back to the same page with another token, perhaps."""
        self._require_same_site(request)
        form = await _read_form(request)
        response = _to_login(safe_return_path(form.get("next", HOME)))
        self._sessions.end(response)
        return response

    async def sign_in(self, request: Request) -> Response:
        """Begin the administrator's session for who brings a one-time code, which only the home's owner can make."""
        said = "This address was good once, for two minutes. `bootpress ui` makes a new one."
        if request.method != "GET" or not codes_of(self._home, "console").take(request.query_params.get("code", "")):
            return self._form(HOME, said=said, status=401)
        token = Home(self._home).admin_token.read_text().strip()
        await self._gate.authenticate_token(token)
        response = RedirectResponse(HOME, 303)
        self._sessions.begin(response, token)
        return response

    async def publications(self, request: Request) -> Response:
        """Show the newest publications, of the platform in the query or of all."""
        slug, cursor = request.query_params.get("platform"), request.query_params.get("cursor")
        if slug is None:
            return await self._show(request, lambda caller: views.newest_publications(self._context, caller, cursor))
        return await self._show(request, lambda caller: views.publications_of(self._context, caller, slug, cursor))

    async def publication(self, request: Request) -> Response:
        """Show one publication."""
        found = _read_id(request.path_params["id"])
        return await self._show(request, lambda caller: views.one_publication(self._context, caller, found))

    async def not_found(self, request: Request) -> Response:
        """Say that there is no such page."""
        raise NotFound("this console has no such page")

    async def style(self, request: Request) -> Response:
        """Send the style sheet."""
        keep = {"Cache-Control": f"public, max-age={YEAR}, immutable"}
        return Response(templating.STYLE, headers=HEADERS | keep, media_type="text/css")

    def with_error_pages(self, handler: Handler) -> Handler:
        """Return a handler whose errors are pages, and whose answers carry the console's headers."""

        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except BootpressError as error:
                response = self._problem_page(request, problems.to_problem(error))
            except Problem as problem:
                response = self._problem_page(request, problem)
            except Exception as error:  # noqa: BLE001 - a defect is logged, and answered without its words
                response = self._problem_page(request, problems.internal_error(error))
            response.headers.update(HEADERS)
            return response

        return answer

    async def _show(self, request: Request, ask: Callable[[Caller], views.Page]) -> Response:
        """Answer with a page for whoever is logged in, else with the way to the login and back."""
        here = _here(request)
        if not self._sessions.is_present(request):
            return _to_login(here)
        try:
            caller = await self._gate.authenticate_token(self._sessions.token(request))
        except Unauthenticated:
            said = "Your session is over: it lasts twelve hours, and no longer than its token."
            response = self._form(here, said=said, status=401)
            self._sessions.end(response)
            return response
        return HTMLResponse(await self._gate.run(caller, "this page", lambda: _render(ask(caller), here)))

    def _form(self, after: str, *, said: str | None = None, status: int = 200) -> Response:
        html = templating.render("login.html", after=after, said=said, logged_in=False)
        # The field wants to be named (RFC 9110, 15.5.2); browsers show the page for a scheme they have no dialog for.
        return HTMLResponse(html, status, {"WWW-Authenticate": "Bearer"} if said else None)

    def _problem_page(self, request: Request, problem: Problem) -> Response:
        values = {name: problem.body().get(name) for name in ("status", "title", "detail", "hint")}
        html = templating.render(
            "problem.html", **values, here=_here(request), logged_in=self._sessions.is_present(request)
        )
        return HTMLResponse(html, problem.status, dict(problem.headers))

    def _require_same_site(self, request: Request) -> None:
        require_same_origin(request_body.header_values(request), public_url=self._context.public_url)


def _render(page: views.Page, here: str) -> str:
    return templating.render(page.template, **page.values, here=here, logged_in=True)


def _here(request: Request) -> str:
    """Return the page that a request is for, as a link."""
    query = request.url.query
    return safe_return_path(f"{request.url.path}?{query}" if query else request.url.path)


def _to_login(after: str) -> Response:
    return RedirectResponse(f"{LOGIN}?{urlencode({'next': after})}", 303)


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"no publication {text[:100]}") from error


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form as browsers send it; a Problem for what is none."""
    body = await request_body.read_body(request, limit=MAX_FORM)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != FORM_TYPE:
        raise Problem(415, "unsupported-media-type", "Unsupported Media Type", f"the form is not {FORM_TYPE}")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise Problem(400, "bad-request", "Bad Request", "the form cannot be read") from error
