#!/usr/bin/env python3

import ftplib

from naming import fill
from session import SessionStep


class FtpSendMainStep(SessionStep):
    step_name = "main"

    def init(self):
        value = self.get_custom_config_value
        self.hostname, self.username = value("ftp_hostname"), value("ftp_username")
        self.password, self.port = value("ftp_password"), value("ftp_port", transform=int, default="21")
        self.directory, self.basename = value("ftp_directory"), value("ftp_basename")
        self.timeout = value("ftp_timeout", transform=float)
        self.connect_timeout = value("ftp_connect_timeout", transform=float)
        self.lifetime = value("ftp_session_lifetime", transform=float)
        self.suffix = value("tmp_suffix")
        if "FIXME" in (self.hostname, self.username, self.password):
            self.error_and_die("ftp_hostname, ftp_username and ftp_password are required in [custom] of config.ini")

    def open_session(self):
        session = ftplib.FTP(timeout=self.connect_timeout)
        session.connect(self.hostname, self.port)
        session.sock.settimeout(self.timeout)
        # Of the connections for files, too.
        session.timeout = self.timeout
        session.login(self.username, self.password)
        session.cwd(self.directory)
        return session

    def close_session(self, session):
        try:
            session.quit()
        finally:
            session.close()

    def send(self, session, xaf):
        name = fill(self.basename, self, xaf)
        with open(xaf.filepath, "rb") as file:
            session.storbinary(f"STOR {name}{self.suffix}", file)
        if self.suffix:
            session.rename(name + self.suffix, name)
        self.info("%s was sent to %s as %s", xaf.filepath, self.hostname, name)


if __name__ == "__main__":
    FtpSendMainStep().run()
