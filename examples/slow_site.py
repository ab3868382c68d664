"""A web site on 127.0.0.1:8900 for the tutorial: every page takes three seconds, and each answer
is printed, so that you see which pages were fetched, and how often.
"""

import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answered: Counter[str] = Counter()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(3)
        body = f"<title>Page {self.path}</title><h1>Page {self.path}</h1><p>It was slow.</p>"
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())
        except ConnectionError:
            print(f"nobody waits for {self.path} any more", flush=True)
            return
        answered[self.path] += 1
        print(f"answered {self.path} {answered[self.path]}×", flush=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Only complete answers are worth a line."""


ThreadingHTTPServer(("127.0.0.1", 8900), Page).serve_forever()
