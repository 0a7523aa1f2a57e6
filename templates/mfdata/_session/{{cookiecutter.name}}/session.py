"""A step that keeps a session with a server from one file to the next, until it was idle for some time."""

import time

from acquisition import AcquisitionStep


class SessionStep(AcquisitionStep):
    #: Seconds without a file until the session ends.
    lifetime = 10
    session = None
    last_used = 0

    def open_session(self):
        """Returns a session, or raises."""
        raise NotImplementedError

    def close_session(self, session):
        """Ends a session; may raise."""
        raise NotImplementedError

    def send(self, session, xaf):
        """Sends a file, or raises."""
        raise NotImplementedError

    def process(self, xaf):
        was_kept = self.session is not None
        sent = self.is_sent(xaf)
        if not sent and was_kept:
            # The server may have ended it since: only what a new session says counts.
            sent = self.is_sent(xaf)
        return sent

    def is_sent(self, xaf):
        try:
            if self.session is None:
                self.session = self.open_session()
            self.send(self.session, xaf)
        except Exception as error:
            self.warning("%s was not sent: %s: %s", xaf.filepath, type(error).__name__, error)
            # What is left of it is of no use.
            self.drop_session()
            return False
        self.last_used = time.monotonic()
        return True

    def ping(self):
        if self.session is not None and time.monotonic() - self.last_used > self.lifetime:
            self.drop_session()

    def destroy(self):
        self.drop_session()

    def drop_session(self):
        session, self.session = self.session, None
        if session is None:
            return
        try:
            self.close_session(session)
        except Exception as error:
            self.debug("the session did not end well: %s", error)
