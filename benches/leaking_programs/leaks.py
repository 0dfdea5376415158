"""Programs that use published packages and leak: `leaks.py NAME`. Without a name it lists them as JSON, with the right answers."""
import asyncio
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "steady_programs"))

from load import every, in_thread, listener, ready, request  # noqa: E402

PROGRAMS = {}


def leaks(rate, of, *holders):
    """A program that adds `rate` entries a second of a type to one of these holders."""

    def declare(program):
        PROGRAMS[program.__name__] = (program, {"rate": rate, "type": of, "holders": holders})
        return program

    return declare


async def every_async(rate, action):
    ready()
    loop = asyncio.get_running_loop()
    begin, n = loop.time(), 0
    while True:
        await action(n)
        n += 1
        await asyncio.sleep(max(0.0, begin + n / rate - loop.time()))


@leaks(20, "function", "__main__.app.before_request_funcs")
def flask_hooks():
    """A hook is registered for each request, by the request itself."""
    global app
    from flask import Flask
    from werkzeug.test import Client

    app = Flask("shop")

    @app.get("/<int:n>")
    def page(n):
        app.before_request_funcs.setdefault(None, []).append(lambda: None)
        return str(n)

    client = Client(app)
    every(20, lambda n: client.get(f"/{n}"))


@leaks(20, "requests.sessions.Session", "__main__.sessions")
def requests_sessions():
    """A session for each user, by name."""
    global sessions
    import requests

    sessions = {}
    every(20, lambda n: sessions.setdefault(f"user {n}", requests.Session()))


@leaks(50, "__main__.Order", "__main__.session._new")
def sqlalchemy_session():
    """A session of the whole program, to which objects are added and which is never flushed."""
    global session, Order
    from sqlalchemy import create_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        __qualname__ = "Order"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    session = Session(create_engine("sqlite://"), autoflush=False)
    every(50, lambda n: session.add(Order(text=f"order {n}")))


@leaks(20, "aiohttp.web_request.Request", "__main__.seen")
def aiohttp_requests():
    """A handler that keeps its requests."""
    global seen
    from aiohttp import web

    seen = []

    async def handler(got):
        seen.append(got)
        return web.Response(text="ok")

    async def serve():
        app = web.Application()
        app.router.add_get("/{n}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        sock, port = listener()
        await web.SockSite(runner, sock).start()
        in_thread(lambda: every(20, lambda n: request(port, f"/{n}")))
        await asyncio.Event().wait()

    asyncio.run(serve())


@leaks(50, "function", "__main__.saved.receivers")
def django_signal():
    """A receiver is connected in each call, not weakly."""
    global saved
    from django.dispatch import Signal

    saved = Signal()
    every(50, lambda n: saved.connect(lambda **_: n, weak=False))


@leaks(20, "pandas.DataFrame", "__main__.frames")
def pandas_frames():
    """Tables that a job keeps."""
    global frames
    import pandas

    frames = []
    every(20, lambda n: frames.append(pandas.DataFrame({"n": range(n, n + 500)})))


@leaks(20, "jinja2.environment.Template", "__main__.env.cache")
def jinja2_templates():
    """A cache of templates without a limit, for names that never come again."""
    global env
    from jinja2 import Environment, FunctionLoader

    env = Environment(cache_size=-1, loader=FunctionLoader(lambda name: "Hello " + name))
    every(20, lambda n: env.get_template(f"user {n}").render())


@leaks(10, "pydantic._internal._model_construction.ModelMetaclass", "__main__.models")
def pydantic_models():
    """A model class for each tenant."""
    global models
    from pydantic import create_model

    models = {}
    every(10, lambda n: models.setdefault(n, create_model(f"Tenant{n}", name=(str, ...))))


@leaks(100, "__main__.Entry", "__main__.audit.entries")
def attrs_entries():
    """An audit trail of attrs objects."""
    global audit, Entry
    import attrs

    @attrs.define
    class Entry:
        __qualname__ = "Entry"
        user: str
        action: str

    class Audit:
        def __init__(self):
            self.entries = []

    Entry.__qualname__ = "Entry"
    audit = Audit()
    every(100, lambda n: audit.entries.append(Entry(f"user {n}", "login")))


@leaks(50, "bs4.element.Tag", "__main__.titles")
def beautifulsoup_titles():
    """A tag keeps the whole tree that it is a part of."""
    global titles
    from bs4 import BeautifulSoup

    page = "<html><head><title>{}</title></head><body>" + "<p>text</p>" * 20 + "</body></html>"
    titles = []
    every(50, lambda n: titles.append(BeautifulSoup(page.format(n), "html.parser").title))


@leaks(100, "lxml.etree._Element", "__main__.nodes")
def lxml_nodes():
    """Trees of libxml2: most of their memory is native."""
    global nodes
    from lxml import etree

    page = "<a>" + "<b>text</b>" * 200 + "</a>"
    nodes = []
    every(100, lambda n: nodes.append(etree.fromstring(page)))


@leaks(50, "rich.segment.Segment", "__main__.console._record_buffer")
def rich_record():
    """A console that records what it prints."""
    global console
    import io

    from rich.console import Console

    console = Console(record=True, file=io.StringIO(), width=80)
    # The text, and the end of the line.
    every(25, lambda n: (console.print(f"line {n}", highlight=False), console.file.seek(0), console.file.truncate()))


@leaks(50, "function", "__main__.client._event_hooks")
def httpx_hooks():
    """A hook for each call."""
    global client
    import httpx

    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))

    def call(n):
        client._event_hooks["response"].append(lambda _: None)

    every(50, call)


@leaks(50, "gevent._gevent_cgreenlet.Greenlet", "__main__.group.greenlets")
def gevent_group():
    """Greenlets that wait for ever, in a group."""
    global group
    import gevent
    from gevent.event import Event
    from gevent.pool import Group

    group, never = Group(), Event()

    def start():
        ready()
        for n in range(1 << 62):
            group.spawn(never.wait)
            gevent.sleep(0.02)

    gevent.spawn(start).join()


@leaks(50, "function", "__main__.bot.extra_events")
def discord_listeners():
    """A listener for each message."""
    global bot
    import discord
    from discord.ext import commands

    async def main():
        global bot
        bot = commands.Bot("!", intents=discord.Intents.none())

        async def message(n):
            async def on_reaction(*_):
                return n

            bot.add_listener(on_reaction, "on_reaction_add")

        await every_async(50, message)

    asyncio.run(main())


@leaks(10, "fastapi.routing.APIRoute", "__main__.app.router.routes")
def fastapi_routes():
    """A route for each tenant."""
    global app
    from fastapi import FastAPI

    app = FastAPI()

    def page():
        return {}

    every(10, lambda n: app.add_api_route(f"/tenant{n}", page))


@leaks(100, "dict", "__main__.settings")
def yaml_documents():
    """Documents that were parsed."""
    global settings
    import yaml

    settings = []
    every(100, lambda n: settings.append(yaml.safe_load("{name: n, size: 12}")))


@leaks(30, "celery.result.EagerResult", "__main__.results")
def celery_results():
    """Results of tasks, kept to be looked at later."""
    global results
    from celery import Celery

    app = Celery("leaking")
    results = []

    @app.task(name="double")
    def double(n):
        return {"n": 2 * n}

    every(30, lambda n: results.append(double.apply((n,))))


@leaks(50, "tornado.httputil.HTTPServerRequest", "__main__.History.requests")
def tornado_history():
    """A class attribute that is meant for one request."""
    global History
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

    class History:
        __qualname__ = "History"
        requests = []

    class Connection:
        context = None

    def request_of(n):
        line = RequestStartLine("GET", f"/{n}", "HTTP/1.1")
        headers = HTTPHeaders({"Host": "localhost", "X-Request": str(n)})
        History.requests.append(HTTPServerRequest(start_line=line, headers=headers, connection=Connection()))

    every(50, request_of)


@leaks(100, "structlog._output.PrintLogger", "__main__.loggers")
def structlog_loggers():
    """A logger for each request."""
    global loggers
    import structlog

    loggers = {}
    every(100, lambda n: loggers.setdefault(n, structlog.PrintLogger()))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(json.dumps({name: answer for name, (_, answer) in PROGRAMS.items()}))
    else:
        PROGRAMS[sys.argv[1]][0]()
