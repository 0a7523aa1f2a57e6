#!/usr/bin/env python3

from urllib.parse import quote

import requests

from acquisition import AcquisitionStep
from naming import fill

METHODS = ("PUT", "POST", "GET", "OPTIONS", "HEAD", "PATCH", "DELETE")


def encoded(name):
    """The name of a file as a part of an address: it may hold a `#`, or be no UTF-8."""
    return quote(name, safe="", errors="surrogateescape")


def numbers(text):
    return [int(number) for number in text.split(",") if number.strip()]


class HttpSendMainStep(AcquisitionStep):
    step_name = "main"

    def init(self):
        self.method = self.get_custom_config_value("http_method", transform=str.upper)
        self.url = self.get_custom_config_value("http_url")
        self.timeout = self.get_custom_config_value("http_timeout", transform=float)
        self.accepted = self.get_custom_config_value("http_ok_status_codes", transform=numbers)
        if self.method not in METHODS:
            self.error_and_die("http_method: found %s; %s are allowed", self.method, ", ".join(METHODS))
        if self.url in ("", "null", "FIXME"):
            self.error_and_die("http_url: found `%s`; an address is required", self.url)
        # Kept, so that files go over one connection.
        self.session = requests.Session()

    def destroy(self):
        self.session.close()

    def process(self, xaf):
        url = fill(self.url, self, xaf, encode=encoded)
        with open(xaf.filepath, "rb") as body:
            try:
                # An empty file would come in chunks, which not all servers take.
                data = body if xaf.getsize() else b""
                response = self.session.request(self.method, url, data=data, timeout=self.timeout)
            except requests.RequestException as error:
                self.warning("%s %s failed: %s", self.method, url, error)
                return False
        if response.status_code not in self.accepted:
            self.warning("%s %s was answered with %i", self.method, url, response.status_code)
            return False
        self.info("%s was sent to %s", xaf.filepath, url)
        return True


if __name__ == "__main__":
    HttpSendMainStep().run()
