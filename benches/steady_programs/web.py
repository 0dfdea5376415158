"""Web services under a steady load: `web.py NAME`. Without a name it lists the names."""
import asyncio
import itertools
import json
import logging
import random
import tempfile

from load import every, in_thread, listener, ready, request, run

JSON = {"content-type": "application/json"}


def serve_wsgi(app):
    """Serves a WSGI application with threads; returns its port."""
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    in_thread(server.serve_forever)
    return server.port


def serve_asgi(app, load):
    """Serves an ASGI application in this thread, and calls `load(port)` in another."""
    import uvicorn

    sock, port = listener()
    in_thread(load, port)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[sock])


def flask_json():
    from flask import Flask, jsonify, request as incoming

    app = Flask(__name__)

    @app.post("/sum/<int:n>")
    def add(n):
        return jsonify(n=n, total=sum(incoming.get_json()["numbers"]))

    port = serve_wsgi(app)
    every(40, lambda n: request(port, f"/sum/{n}", json.dumps({"numbers": [n, n + 1]}), JSON))


def flask_templates():
    from flask import Flask, render_template_string, request as incoming, session

    app = Flask(__name__)
    app.secret_key = "s"

    @app.get("/page/<name>")
    def page(name):
        session["seen"] = session.get("seen", 0) + 1
        text = "<h1>{{ name }}</h1>{% for i in range(5) %}<p>{{ i }} {{ q }}</p>{% endfor %}"
        return render_template_string(text, name=name, q=incoming.args.get("q", ""))

    port = serve_wsgi(app)
    every(30, lambda n: request(port, f"/page/user{n % 50}?q=a{n}"))


def flask_errors():
    from flask import Flask, abort

    app = Flask(__name__)
    app.logger.handlers[:] = [logging.NullHandler()]

    @app.get("/<int:n>")
    def sometimes(n):
        if n % 3 == 0:
            abort(404)
        if n % 5 == 0:
            raise ValueError(f"no {n}")
        return "ok"

    @app.errorhandler(ValueError)
    def wrong(error):
        return {"error": str(error)}, 500

    port = serve_wsgi(app)
    every(30, lambda n: request(port, f"/{n}"))


def flask_sqlite():
    import sqlite3
    from flask import Flask, g

    app = Flask(__name__)
    file = tempfile.mktemp(".db")

    @app.before_request
    def open_database():
        g.db = sqlite3.connect(file)
        g.db.execute("create table if not exists visits (name text primary key, n int)")

    @app.teardown_request
    def close_database(_):
        g.pop("db").close()

    @app.get("/<name>")
    def visit(name):
        g.db.execute("insert into visits values (?, 1) on conflict (name) do update set n = n + 1", (name,))
        g.db.commit()
        return dict(g.db.execute("select name, n from visits limit 20").fetchall())

    port = serve_wsgi(app)
    every(20, lambda n: request(port, f"/user{n % 30}"))


def prometheus_flask():
    import prometheus_client
    from flask import Flask

    app = Flask(__name__)
    count = prometheus_client.Counter("requests", "all", ["path", "status"])
    took = prometheus_client.Histogram("took", "seconds", ["path"])

    @app.get("/<path>")
    def one(path):
        with took.labels(path).time():
            count.labels(path, "200").inc()
        return prometheus_client.generate_latest() if path == "metrics" else path

    port = serve_wsgi(app)
    paths = ["home", "about", "basket", "metrics"]
    every(30, lambda n: request(port, f"/{paths[n % 4]}"))


def fastapi_orders():
    from fastapi import FastAPI, HTTPException
    from pydantic import BaseModel, Field

    app = FastAPI()

    class Order(BaseModel):
        sku: str
        count: int = Field(1, ge=1)

    @app.post("/orders/{n}")
    async def order(n: int, order: Order):
        if n % 10 == 0:
            raise HTTPException(409, "sold out")
        return {"n": n, "order": order}

    body = lambda n: json.dumps({"sku": f"a{n}", "count": n % 3})
    serve_asgi(app, lambda port: every(30, lambda n: request(port, f"/orders/{n}", body(n), JSON)))


def fastapi_background():
    from fastapi import BackgroundTasks, Depends, FastAPI, Header

    app = FastAPI()
    recent = []

    def user(x_user: str = Header("nobody")):
        return x_user

    def note(text):
        recent.append(text)
        del recent[:-100]

    @app.get("/items")
    def items(tasks: BackgroundTasks, q: str = "", who: str = Depends(user)):
        tasks.add_task(note, f"{who} asked for {q}")
        return {"recent": recent[-3:]}

    send = lambda port: every(30, lambda n: request(port, f"/items?q={n}", None, {"x-user": f"u{n % 7}"}))
    serve_asgi(app, send)


def fastapi_websocket():
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect
    from websockets.sync.client import connect

    app = FastAPI()

    @app.websocket("/ws")
    async def echo(socket: WebSocket):
        await socket.accept()
        try:
            while True:
                await socket.send_json({"echo": await socket.receive_json()})
        except WebSocketDisconnect:
            pass

    def talk(port):
        def one(n):
            try:
                with connect(f"ws://127.0.0.1:{port}/ws") as socket:
                    for part in range(4):
                        socket.send(json.dumps({"n": n, "part": part}))
                        socket.recv()
            except OSError:
                pass

        every(5, one)

    serve_asgi(app, talk)


def starlette_streaming():
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def rows(incoming):
        async def lines():
            for n in range(20):
                yield f"{n},{random.random()}\n"
                await asyncio.sleep(0)

        return StreamingResponse(lines(), media_type="text/csv")

    async def login(incoming):
        incoming.session["user"] = incoming.query_params["user"]
        return JSONResponse({"hello": incoming.session["user"]})

    middleware = [Middleware(GZipMiddleware), Middleware(SessionMiddleware, secret_key="s")]
    app = Starlette(routes=[Route("/rows", rows), Route("/login", login)], middleware=middleware)
    paths = lambda n: "/rows" if n % 2 else f"/login?user=u{n}"
    serve_asgi(app, lambda port: every(25, lambda n: request(port, paths(n), None, {"accept-encoding": "gzip"})))


def configure_django(**more):
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="s",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tempfile.mktemp(".db")}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        LOGGING_CONFIG=None,
        **more,
    )
    django.setup()
    logging.getLogger("django").setLevel(logging.CRITICAL)


urlpatterns = []


def django_views():
    configure_django(MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"])
    from django import forms
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    class Search(forms.Form):
        q = forms.CharField(max_length=5)
        page = forms.IntegerField(required=False)

    def search(incoming, kind):
        form = Search(incoming.GET)
        return JsonResponse({"kind": kind, "ok": form.is_valid(), "errors": form.errors.get_json_data()})

    urlpatterns.append(path("search/<slug:kind>/", search))
    port = serve_wsgi(get_wsgi_application())
    every(25, lambda n: request(port, f"/search/books/?q={n * 37}&page={n}"))


def django_orm():
    configure_django(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"])
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.db import transaction
    from django.http import JsonResponse
    from django.urls import path

    call_command("migrate", verbosity=0)

    def visit(incoming, n):
        with transaction.atomic():
            user, _ = User.objects.get_or_create(username=f"user{n % 40}")
            User.objects.filter(pk=user.pk).update(first_name=f"name{n}")
        return JsonResponse({"users": list(User.objects.order_by("-pk").values("username", "first_name")[:10])})

    urlpatterns.append(path("visit/<int:n>", visit))
    port = serve_wsgi(get_wsgi_application())
    every(15, lambda n: request(port, f"/visit/{n}"))


def django_templates():
    cache = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 60}}}
    configure_django(CACHES=cache)
    from django.core.cache import cache
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.template import Context, Template
    from django.urls import path

    page = Template("{% for row in rows %}{{ row.name|upper }}: {{ row.n|floatformat:2 }} {% endfor %}")

    def show(incoming, n):
        rows = cache.get_or_set(f"rows{n % 200}", lambda: [{"name": f"r{i}", "n": i / 3} for i in range(5)], 30)
        return HttpResponse(page.render(Context({"rows": rows})))

    urlpatterns.append(path("<int:n>", show))
    port = serve_wsgi(get_wsgi_application())
    every(25, lambda n: request(port, f"/{n}"))


async def steadily(rate, action):
    """The asynchronous `every`."""
    ready()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for n in itertools.count():
        await action(n)
        await asyncio.sleep(max(0.0, begin + (n + 1) / rate - loop.time()))


def aiohttp_service():
    from aiohttp import ClientSession, web

    async def main():
        async def add(incoming):
            body = await incoming.json()
            return web.json_response({"total": sum(body["numbers"]), "n": incoming.match_info["n"]})

        app = web.Application()
        app.router.add_post("/add/{n}", add)
        runner = web.AppRunner(app)
        await runner.setup()
        sock, port = listener()
        await web.SockSite(runner, sock).start()
        async with ClientSession() as session:

            async def one(n):
                async with session.post(f"http://127.0.0.1:{port}/add/{n}", json={"numbers": [n, 1]}) as answer:
                    await answer.json()

            await steadily(40, one)

    asyncio.run(main())


def aiohttp_websockets():
    from aiohttp import ClientSession, WSMsgType, web

    async def main():
        rooms = set()

        async def chat(incoming):
            socket = web.WebSocketResponse()
            await socket.prepare(incoming)
            rooms.add(socket)
            try:
                async for message in socket:
                    if message.type == WSMsgType.TEXT:
                        for other in list(rooms):
                            await other.send_str(message.data)
            finally:
                rooms.discard(socket)
            return socket

        app = web.Application()
        app.router.add_get("/chat", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        sock, port = listener()
        await web.SockSite(runner, sock).start()

        async def one(n):
            async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/chat") as socket:
                for part in range(5):
                    await socket.send_str(f"message {n}.{part}")
                    await socket.receive()

        await steadily(5, one)

    asyncio.run(main())


def tornado_service():
    import tornado.httpclient
    import tornado.web

    class Page(tornado.web.RequestHandler):
        async def get(self, n):
            await asyncio.sleep(0.001)
            self.set_secure_cookie("n", n)
            self.write({"n": n, "agent": self.request.headers.get("User-Agent")})

    async def main():
        app = tornado.web.Application([(r"/(\d+)", Page)], cookie_secret="s", log_function=lambda handler: None)
        sock, port = listener()
        sock.setblocking(False)
        from tornado.httpserver import HTTPServer

        HTTPServer(app).add_sockets([sock])
        client = tornado.httpclient.AsyncHTTPClient()
        await steadily(30, lambda n: client.fetch(f"http://127.0.0.1:{port}/{n}"))

    asyncio.run(main())


def gevent_service():
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.pywsgi import WSGIServer
    import requests

    def app(environ, start):
        gevent.sleep(0.002)
        start("200 OK", [("content-type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    ready()

    def visit(seed):
        session = requests.Session()
        for n in itertools.count():
            session.get(f"http://127.0.0.1:{server.server_port}/{seed}/{n}", timeout=5)
            gevent.sleep(0.2)

    gevent.joinall([gevent.spawn(visit, seed) for seed in range(5)])


def http_server():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    in_thread(server.serve_forever)
    every(30, lambda n: request(server.server_port, f"/{n}"))


if __name__ == "__main__":
    run(
        [
            flask_json, flask_templates, flask_errors, flask_sqlite, prometheus_flask, fastapi_orders, fastapi_background,
            fastapi_websocket, starlette_streaming, django_views, django_orm, django_templates, aiohttp_service,
            aiohttp_websockets, tornado_service, gevent_service, http_server,
        ]
    )
