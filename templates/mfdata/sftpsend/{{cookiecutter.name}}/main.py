#!/usr/bin/env python3

import paramiko

from naming import fill
from session import SessionStep

KEYS = {"rsa": "RSAKey", "ecdsa": "ECDSAKey", "dsa": "DSSKey", "ed25519": "Ed25519Key"}


class SftpSendMainStep(SessionStep):
    step_name = "main"

    def init(self):
        value = self.get_custom_config_value
        self.hostname, self.username = value("sftp_hostname"), value("sftp_username")
        self.password, self.port = value("sftp_password"), value("sftp_port", transform=int, default="22")
        self.directory, self.basename = value("sftp_directory"), value("sftp_basename")
        self.timeout = value("sftp_timeout", transform=float)
        self.connect_timeout = value("sftp_connect_timeout", transform=float)
        self.lifetime = value("sftp_session_lifetime", transform=float)
        self.suffix = value("tmp_suffix")
        disabled = value("sftp_key_disabled_algorithms", default="")
        disabled = [name.strip() for name in disabled.split(",") if name.strip() not in ("", "null")]
        self.disabled = {"pubkeys": disabled, "keys": disabled} if disabled else None
        self.key = self.read_key(value("sftp_key_file", default=""))
        if "FIXME" in (self.hostname, self.username) or (self.key is None and self.password == "FIXME"):
            self.error_and_die(
                "sftp_hostname, sftp_username, and sftp_password or sftp_key_file are required in [custom] of config.ini"
            )

    def read_key(self, file):
        if file in ("", "null"):
            return None
        algorithm = self.get_custom_config_value("sftp_key_algorithm", default="rsa").lower()
        # Newer paramikos have no DSA any more.
        kind = getattr(paramiko, KEYS.get(algorithm, ""), None)
        if kind is None:
            self.error_and_die("sftp_key_algorithm: found %s; %s are allowed", algorithm, ", ".join(KEYS))
        passphrase = self.get_custom_config_value("sftp_key_file_passphrase", default="")
        try:
            return kind.from_private_key_file(file, password=passphrase or None)
        except (OSError, paramiko.SSHException) as error:
            self.error_and_die("sftp_key_file: %s: %s", file, error)

    def open_session(self):
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            self.hostname,
            port=self.port,
            username=self.username,
            password=None if self.key else self.password,
            pkey=self.key,
            timeout=self.connect_timeout,
            allow_agent=False,
            look_for_keys=False,
            disabled_algorithms=self.disabled,
        )
        try:
            session = client.open_sftp()
            session.get_channel().settimeout(self.timeout)
            session.chdir(self.directory)
        except Exception:
            client.close()
            raise
        # The client ends with whoever holds it.
        self.client = client
        return session

    def close_session(self, session):
        try:
            session.close()
        finally:
            self.client.close()

    def send(self, session, xaf):
        name = fill(self.basename, self, xaf)
        session.put(xaf.filepath, name + self.suffix)
        if self.suffix:
            # Over what is there.
            session.posix_rename(name + self.suffix, name)
        self.info("%s was sent to %s as %s", xaf.filepath, self.hostname, name)


if __name__ == "__main__":
    SftpSendMainStep().run()
