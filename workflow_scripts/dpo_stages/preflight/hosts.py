"""Whether a host can be reached."""

import os
import socket
from urllib.parse import urlsplit

SECONDS = 3.0
"""That a host may take to answer."""

PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def refused(url: str) -> str | None:
    """Why nothing can be sent to the host of a URL; None if it takes connections, or if a proxy does, which alone knows."""
    if any(map(os.environ.get, PROXIES)):
        return None
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=SECONDS).close()
    except TimeoutError:
        return f"no answer in {SECONDS:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
