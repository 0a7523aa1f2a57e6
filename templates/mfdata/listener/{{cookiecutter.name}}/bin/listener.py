#!/usr/bin/env python3

import time

from acquisition import AcquisitionListener


class Listener(AcquisitionListener):
    def listen(self):
        while True:
            self.info("Listening...")
            time.sleep(60)


if __name__ == "__main__":
    Listener().run()
