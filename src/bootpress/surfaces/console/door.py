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
from bootpress.sign_in import codes_of
from bootpress.stack.home import Home
from bootpress.surfaces.api import problems, reading
from bootpress.surfaces.api.operations import Gate
from bootpress.surfaces.api.problems import Problem
from bootpress.surfaces.console import asking, pages
from bootpress.surfaces.console.origins import HOME, LOGIN, LOGOUT, SIGN_IN, page_to_return_to, require_same_site
from bootpress.surfaces.console.sessions import Sessions

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


def install(app: FastAPI, context: Context, gate: Gate, *, home: Path) -> None:
    """Add the console's paths to an application; `home` keeps the one-time codes and the administrator's token."""
    door = ConsoleDoor(context, gate, home)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/app", door.first_page),
        ("GET", "/app/", door.first_page),
        ("GET", LOGIN, door.login_form),
        ("POST", LOGIN, door.login),
        ("POST", LOGOUT, door.logout),
        ("GET", SIGN_IN, door.sign_in),
        ("GET", HOME, door.publications),
        ("GET", HOME + "/{id}", door.publication),
        ("GET", "/app/{rest:path}", door.nothing),
    ]
    app.add_route(pages.STYLE_PATH, door.style, methods=["GET"])
    for method, path, handler in routes:
        app.add_route(path, door.answering(handler), methods=[method])


class ConsoleDoor:
    """Asks operations on behalf of the token in the session, and shows what they answer."""

    def __init__(self, context: Context, gate: Gate, home: Path) -> None:
        self._context = context
        self._home = home
        self._gate = gate
        self._sessions = Sessions(context)

    async def first_page(self, request: Request) -> Response:
        """Lead to the publications, or to the login."""
        return RedirectResponse(HOME if self._sessions.has_one(request) else LOGIN, 303)

    async def login_form(self, request: Request) -> Response:
        """Ask for a token; lead on at once whoever is logged in."""
        after = page_to_return_to(request.query_params.get("next", HOME))
        if self._sessions.has_one(request):
            try:
                await self._gate.admit_token(self._sessions.token(request))
            except Unauthenticated:
                return self._form(after)
            return RedirectResponse(after, 303)
        return self._form(after)

    async def login(self, request: Request) -> Response:
        """Begin a session with the token of the form, and lead back to the page that was asked for."""
        self._require_same_site(request)
        form = await _read_form(request)
        after = page_to_return_to(form.get("next", HOME))
        token = form.get("token", "").strip()
        try:
            await self._gate.admit_token(token)
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
        response = _to_login(page_to_return_to(form.get("next", HOME)))
        self._sessions.end(response)
        return response

    async def sign_in(self, request: Request) -> Response:
        """Begin the administrator's session for who brings a one-time code, which only the home's owner can make."""
        said = "This address was good once, for two minutes. `bootpress ui` makes a new one."
        if request.method != "GET" or not codes_of(self._home, "console").take(request.query_params.get("code", "")):
            return self._form(HOME, said=said, status=401)
        token = Home(self._home).admin_token.read_text().strip()
        await self._gate.admit_token(token)
        response = RedirectResponse(HOME, 303)
        self._sessions.begin(response, token)
        return response

    async def publications(self, request: Request) -> Response:
        """Show the newest publications, of the platform in the query or of all."""
        slug, cursor = request.query_params.get("platform"), request.query_params.get("cursor")
        if slug is None:
            return await self._show(request, lambda caller: asking.newest_publications(self._context, caller, cursor))
        return await self._show(request, lambda caller: asking.publications_of(self._context, caller, slug, cursor))

    async def publication(self, request: Request) -> Response:
        """Show one publication."""
        found = _read_id(request.path_params["id"])
        return await self._show(request, lambda caller: asking.one_publication(self._context, caller, found))

    async def nothing(self, request: Request) -> Response:
        """Say that there is no such page."""
        raise NotFound("this console has no such page")

    async def style(self, request: Request) -> Response:
        """Send the style sheet."""
        keep = {"Cache-Control": f"public, max-age={YEAR}, immutable"}
        return Response(pages.STYLE, headers=HEADERS | keep, media_type="text/css")

    def answering(self, handler: Handler) -> Handler:
        """Return a handler whose errors are pages, and whose answers carry the console's headers."""

        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except BootpressError as error:
                response = self._problem_page(request, problems.problem_of(error))
            except Problem as problem:
                response = self._problem_page(request, problem)
            except Exception as error:  # noqa: BLE001 - a defect is logged, and answered without its words
                response = self._problem_page(request, problems.unexpected(error))
            response.headers.update(HEADERS)
            return response

        return answer

    async def _show(self, request: Request, ask: Callable[[Caller], asking.Page]) -> Response:
        """Answer with a page for whoever is logged in, else with the way to the login and back."""
        here = _here(request)
        if not self._sessions.has_one(request):
            return _to_login(here)
        try:
            caller = await self._gate.admit_token(self._sessions.token(request))
        except Unauthenticated:
            said = "Your session is over: it lasts twelve hours, and no longer than its token."
            response = self._form(here, said=said, status=401)
            self._sessions.end(response)
            return response
        return HTMLResponse(await self._gate.run(caller, "this page", lambda: _render(ask(caller), here)))

    def _form(self, after: str, *, said: str | None = None, status: int = 200) -> Response:
        html = pages.render("login.html", after=after, said=said, logged_in=False)
        # The field wants to be named (RFC 9110, 15.5.2); browsers show the page for a scheme they have no dialog for.
        return HTMLResponse(html, status, {"WWW-Authenticate": "Bearer"} if said else None)

    def _problem_page(self, request: Request, problem: Problem) -> Response:
        values = {name: problem.body().get(name) for name in ("status", "title", "detail", "hint")}
        html = pages.render("problem.html", **values, here=_here(request), logged_in=self._sessions.has_one(request))
        return HTMLResponse(html, problem.status, dict(problem.headers))

    def _require_same_site(self, request: Request) -> None:
        require_same_site(reading.header_values(request), public_url=self._context.public_url)


def _render(page: asking.Page, here: str) -> str:
    return pages.render(page.template, **page.values, here=here, logged_in=True)


def _here(request: Request) -> str:
    """Return the page that a request is for, as a link."""
    query = request.url.query
    return page_to_return_to(f"{request.url.path}?{query}" if query else request.url.path)


def _to_login(after: str) -> Response:
    return RedirectResponse(f"{LOGIN}?{urlencode({'next': after})}", 303)


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"no publication {text[:100]}") from error


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form as browsers send it; a Problem for what is none."""
    body = await reading.read_body(request, limit=MAX_FORM)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != FORM_TYPE:
        raise Problem(415, "unsupported-media-type", "Unsupported Media Type", f"the form is not {FORM_TYPE}")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise Problem(400, "bad-request", "Bad Request", "the form cannot be read") from error
