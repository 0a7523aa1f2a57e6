"""How a daemon waits for the redis that has its tags: until it is there, or the daemon is to end."""

import math
import time

REMIND_EVERY = 60


def wait_for_redis(redis, step):
    told = [-math.inf]

    def tell(error):
        if time.monotonic() - told[0] > REMIND_EVERY:
            told[0] = time.monotonic()
            step.warning("waiting for redis: %s", error)

    redis.patience = math.inf
    redis.give_up = lambda: step.stop_flag
    redis.on_wait = tell
