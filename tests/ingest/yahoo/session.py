"""The real yfinance, brought to talk to a replay server and to nothing else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import Cookie
from pathlib import Path
from urllib.parse import urlsplit

import yfinance
from curl_cffi import requests
from yfinance import cache
from yfinance.data import YfData


class ReplaySession(requests.Session):
    """Sends what is meant for *.yahoo.com to `base_url`, and refuses every other host."""

    def __init__(self, base_url: str, **options) -> None:
        super().__init__(**options)
        self._base_url = base_url
        # yfinance keeps a cookie only of a domain named yahoo, and the server's own is another's;
        # without one it would ask for the cookie again before every chart.
        self.cookies.jar.set_cookie(_cookie())

    def request(self, method, url, *args, **options):
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith("yahoo.com"):
            raise RuntimeError(f"{url} is not Yahoo's; a test asks the replay server only.")
        query = f"?{parts.query}" if parts.query else ""
        local = f"{self._base_url}{parts.path or '/'}{query}"
        return super().request(method, local, *args, **options)


def use_replay(url: str) -> None:
    """Makes yfinance in this process ask the replay server at `url`."""
    YfData(session=ReplaySession(url, impersonate="chrome"))


@contextmanager
def fresh_yfinance(folder: Path) -> Iterator[None]:
    """A yfinance without client, cookie, crumb or remembered answers, its caches in `folder`."""
    shown = yfinance.config.debug.hide_exceptions
    _forget(folder)
    # Otherwise every failure of the library reads "possibly delisted".
    yfinance.config.debug.hide_exceptions = False
    yield
    yfinance.config.debug.hide_exceptions = shown
    _forget(folder)


def _forget(folder: Path) -> None:
    for manager in (cache._TzDBManager, cache._CookieDBManager, cache._ISINDBManager):
        manager.set_location(str(folder))
    cache._TzCacheManager._tz_cache = None
    cache._CookieCacheManager._Cookie_cache = None
    cache._ISINCacheManager._isin_cache = None
    YfData._instances.clear()
    YfData.cache_get.cache_clear()


def _cookie() -> Cookie:
    return Cookie(
        version=0,
        name="A3",
        value="replay",
        port=None,
        port_specified=False,
        domain=".yahoo.com",
        domain_specified=True,
        domain_initial_dot=True,
        path="/",
        path_specified=True,
        secure=False,
        expires=int(time.time()) + 86_400,
        discard=False,
        comment=None,
        comment_url=None,
        rest={},
    )
