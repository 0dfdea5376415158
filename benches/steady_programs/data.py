"""Clients, data jobs, caches and test suites: `data.py NAME`. Without a name it lists the names."""
import asyncio
import io
import json
import os
import random
import sqlite3
import sys
import tempfile
import threading

from load import every, in_thread, ready, run


def serve_json():
    """Starts a service to ask; returns its address."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = json.dumps({"path": self.path}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("set-cookie", "id=1; path=/")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    in_thread(server.serve_forever)
    return f"http://127.0.0.1:{server.server_port}"


def requests_session():
    import requests

    at, session = serve_json(), requests.Session()
    every(30, lambda n: session.get(f"{at}/{n}", params={"q": n}, headers={"x-n": str(n)}).json())


def requests_single():
    import requests

    at = serve_json()
    every(15, lambda n: requests.get(f"{at}/{n}", timeout=5).json())


def urllib3_pool():
    import urllib3

    at, pool = serve_json(), urllib3.PoolManager(4, retries=urllib3.Retry(2))
    every(30, lambda n: pool.request("GET", f"{at}/{n}").json())


def httpx_client():
    import httpx

    at, client = serve_json(), httpx.Client()
    every(25, lambda n: client.get(f"{at}/{n}").json())


def httpx_async():
    import httpx

    at = serve_json()

    async def main():
        ready()
        async with httpx.AsyncClient(timeout=5) as client:
            n = 0
            while True:
                n += 1
                await asyncio.gather(*(client.get(f"{at}/{n}/{k}") for k in range(3)))
                await asyncio.sleep(0.12)

    asyncio.run(main())


def openai_client():
    import httpx
    import openai

    def answer(incoming):
        asked = json.loads(incoming.content)["messages"][-1]["content"]
        message = {"role": "assistant", "content": asked.upper()}
        return httpx.Response(200, json={
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        })

    client = openai.OpenAI(api_key="k", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    ask = lambda n: client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"question {n}"}])
    every(15, ask)


def pandas_groups():
    import numpy as np
    import pandas as pd

    def one(n):
        frame = pd.DataFrame({"key": np.arange(300) % 7, "value": np.random.random(300), "day": pd.date_range("2024-01-01", periods=300)})
        sums = frame.groupby("key").agg({"value": ["mean", "max"]})
        sums.columns = ["mean", "max"]
        return frame.merge(sums, left_on="key", right_index=True, how="left") if n % 2 else sums

    every(6, one)


def pandas_csv():
    import pandas as pd

    window = []

    def one(n):
        text = "a,b,when\n" + "\n".join(f"{n},{random.random()},2024-01-{day:02}" for day in range(1, 29))
        window.append(pd.read_csv(io.StringIO(text), parse_dates=["when"]))
        del window[:-10]
        pd.concat(window).set_index("when").resample("7D").mean().to_json(date_format="iso")

    every(6, one)


def numpy_signals():
    import numpy as np

    def one(n):
        signal = np.sin(np.linspace(0, n % 100, 4096)) + np.random.random(4096)
        return np.fft.irfft(np.fft.rfft(signal)[:200]).mean(), np.linalg.inv(np.random.random((20, 20)))

    every(40, one)


def sqlite_jobs():
    db = sqlite3.connect(tempfile.mktemp(".db"))
    db.row_factory = sqlite3.Row
    db.execute("create table jobs (id integer primary key, state text, payload text)")

    def one(n):
        with db:
            db.execute("insert into jobs (state, payload) values ('new', ?)", (json.dumps({"n": n}),))
            for row in db.execute("select * from jobs where state = 'new' limit 5").fetchall():
                db.execute("update jobs set state = ? where id = ?", ("done", row["id"]))
            db.execute("delete from jobs where id < ?", (n - 100,))
        db.execute(f"select count(*) from jobs where id % {n % 300 + 1} = 0").fetchone()

    every(30, one)


def sqlalchemy_core():
    import sqlalchemy as sa

    engine = sa.create_engine("sqlite:///" + tempfile.mktemp(".db"), pool_size=3)
    meta = sa.MetaData()
    items = sa.Table("items", meta, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String), sa.Column("price", sa.Float))
    meta.create_all(engine)

    def one(n):
        with engine.begin() as db:
            db.execute(items.insert().values(name=f"item{n}", price=n / 3))
            db.execute(sa.select(items.c.name, sa.func.sum(items.c.price)).where(items.c.price > n % 10).group_by(items.c.name).limit(5)).all()
            db.execute(items.delete().where(items.c.id < n - 100))

    every(20, one)


def sqlalchemy_orm():
    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        notes: Mapped[list["Note"]] = relationship(cascade="all, delete-orphan")

    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
        text: Mapped[str]

    engine = sa.create_engine("sqlite:///" + tempfile.mktemp(".db"))
    Base.metadata.create_all(engine)

    def one(n):
        with Session(engine) as session:
            session.add(User(name=f"user{n}", notes=[Note(text=f"note {k}") for k in range(3)]))
            session.commit()
            for user in session.scalars(sa.select(User).where(User.id <= n - 20)):
                session.delete(user)
            session.commit()
            session.scalars(sa.select(User).options(sa.orm.selectinload(User.notes)).limit(5)).all()

    import sqlalchemy.orm

    every(10, one)


def jinja2_render():
    import jinja2

    pages = {f"page{n}": f"{n}: {{{{ title }}}} {{% for i in items %}}{{{{ i|e }}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}" for n in range(60)}
    environment = jinja2.Environment(loader=jinja2.DictLoader(pages), autoescape=True, cache_size=40)
    every(40, lambda n: environment.get_template(f"page{n % 60}").render(title=f"<{n}>", items=range(5)))


def cachetools_lru():
    import cachetools

    @cachetools.cached(cachetools.LRUCache(200), lock=threading.Lock())
    def look_up(n):
        return {"n": n, "text": f"value {n}"}

    every(100, lambda n: look_up(random.randrange(1000)))


def cachetools_ttl():
    import cachetools

    cache = cachetools.TTLCache(10_000, 2)

    def one(n):
        cache[f"key{n}"] = {"n": n}
        cache.get(f"key{n - 10}")

    every(60, one)


def pydantic_models():
    import datetime
    from pydantic import BaseModel, ValidationError, field_validator

    class Line(BaseModel):
        sku: str
        count: int

        @field_validator("count")
        def positive(cls, value):
            if value <= 0:
                raise ValueError("not positive")
            return value

    class Order(BaseModel):
        id: int
        at: datetime.datetime
        lines: list[Line]

    def one(n):
        try:
            order = Order(id=n, at="2024-01-01T00:00:00", lines=[{"sku": f"a{n}", "count": n % 5}] * 3)
            return order.model_dump_json()
        except ValidationError as error:
            return error.errors()

    every(60, one)


def html_parsing():
    import bs4
    import lxml.html

    text = "<html><body>" + "".join(f"<p class=c{n}><a href='/{n}'>link {n}</a></p>" for n in range(30)) + "</body></html>"

    def one(n):
        page = text.replace("link 3", f"link {n}")
        parser = "lxml" if n % 2 else "html.parser"
        return [a["href"] for a in bs4.BeautifulSoup(page, parser).select("p a")], lxml.html.fromstring(page).xpath("//a/@href")

    every(8, one)


def yaml_configuration():
    import jsonschema
    import yaml

    schema = {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer", "maximum": 99}}}

    def one(n):
        document = yaml.safe_load(f"name: service{n}\nport: {n % 120}\nlist: [1, 2, {{a: b}}]")
        try:
            jsonschema.validate(document, schema)
        except jsonschema.ValidationError as error:
            str(error)
        yaml.safe_dump(document)

    every(15, one)


def click_commands():
    import click
    from click.testing import CliRunner
    from rich.console import Console
    from rich.table import Table

    @click.command()
    @click.option("--count", type=int, default=1)
    @click.argument("name")
    def hello(count, name):
        table = Table("n", "name")
        for n in range(count):
            table.add_row(str(n), name)
        Console(file=io.StringIO()).print(table)

    runner = CliRunner()
    every(10, lambda n: runner.invoke(hello, ["--count", str(n % 5), f"name{n}"]))


def run_suite(*names):
    """Runs a package's unit tests again and again."""
    import unittest

    ready()
    while True:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        unittest.TextTestRunner(open(os.devnull, "w"), verbosity=0).run(suite)


def suite_of_simplejson():
    # Not test_dump: it leaks nine tuples a run, as the collector's own count shows.
    run_suite("simplejson.tests.test_decode", "simplejson.tests.test_indent", "simplejson.tests.test_unicode")


def suite_of_tornado():
    run_suite("tornado.test.escape_test", "tornado.test.template_test", "tornado.test.httputil_test", "tornado.test.locks_test")


def suite_with_pytest():
    import pytest

    ready()
    sys.stdout = open(os.devnull, "w")
    while True:
        pytest.main(["-q", "-p", "no:cacheprovider", "--pyargs", "tornado.test.httputil_test"])


if __name__ == "__main__":
    run(
        [
            requests_session, requests_single, urllib3_pool, httpx_client, httpx_async, openai_client, pandas_groups, pandas_csv,
            numpy_signals, sqlite_jobs, sqlalchemy_core, sqlalchemy_orm, jinja2_render, cachetools_lru, cachetools_ttl,
            pydantic_models, html_parsing, yaml_configuration, click_commands, suite_of_simplejson, suite_of_tornado, suite_with_pytest,
        ]
    )
