"""What the user has set in QGIS that concerns the engine: an own Python, and the network proxy.

Imports the standard library and QGIS. ``engine`` reads the own Python itself, so that it also serves without QGIS.
"""

from __future__ import annotations

from urllib.parse import quote

from qgis.core import QgsNetworkAccessManager, QgsSettings
from qgis.PyQt.QtNetwork import QNetworkProxy

from . import engine

_HTTP_TYPES = (QNetworkProxy.ProxyType.HttpProxy, QNetworkProxy.ProxyType.HttpCachingProxy)


def own_python() -> str:
    """Interpreter that the user chose for the engine, or an empty text."""
    return str(QgsSettings().value(engine.PYTHON_SETTING, "") or "")


def set_own_python(path: str) -> None:
    """Choose the interpreter for the engine; an empty text goes back to the managed environment."""
    settings = QgsSettings()
    if path:
        settings.setValue(engine.PYTHON_SETTING, path)
    else:
        settings.remove(engine.PYTHON_SETTING)
    settings.sync()


def proxy() -> str:
    """QGIS's HTTP proxy as an address, with the user and the word before the host where it wants a login.

    Empty where QGIS uses none or the system's, which pip finds itself, and for SOCKS, which pip does not speak.
    """
    active = QgsNetworkAccessManager.instance().fallbackProxy()  # has the words of a stored login, too
    if active.type() in _HTTP_TYPES and active.hostName():
        return _address(active.hostName(), active.port(), active.user(), active.password())
    settings = QgsSettings()
    enabled = settings.value("proxy/proxyEnabled", False, type=bool)
    host = str(settings.value("proxy/proxyHost", "") or "")
    if not enabled or not host or not str(settings.value("proxy/proxyType", "")).startswith("Http"):
        return ""
    user, word = (str(settings.value(f"proxy/proxy{part}", "") or "") for part in ("User", "Password"))
    return _address(host, int(settings.value("proxy/proxyPort", 0) or 0), user, word)


def _address(host: str, port: int, user: str, word: str) -> str:
    login = f"{quote(user, safe='')}:{quote(word, safe='')}@" if user else ""
    return f"http://{login}{host}" + (f":{port}" if port else "")
